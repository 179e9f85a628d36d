"""Raw folders of SisFall and of the IPOL gait set, written by the tests, and ways to break them."""

import hashlib
import json
import pathlib
import tarfile

import numpy as np

from imujax.data_builders.ipol_gait import files as ipol

G = 9.80665
# Before Python 3.11.4 there is no filter; the members are those that the tests name.
EXTRACT = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def write_sisfall(raw: pathlib.Path, trials=("D01_SA01", "D07_SA01", "D01_SE02"), seconds=8):
    """Trials of SisFall's layout: two seconds of rest, then movement; CRLF and blank lines."""
    for k, trial in enumerate(trials):
        rng = np.random.default_rng(k)
        t = np.arange(seconds * 200) / 200
        moves = ((t > 2) * np.sin(2 * np.pi * 2 * t))[:, None]
        acc = np.array([0, -256, 0]) + 60 * moves + rng.normal(0, 2, (len(t), 3))
        gyr = 800 * moves + rng.normal(0, 5, (len(t), 3))
        rows = np.round(np.concatenate([acc, gyr, 4 * acc], axis=1)).astype(int)
        lines = [",".join(f"{v:4d}" for v in row) + ";" for row in rows]
        folder = raw / trial.split("_")[1]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{trial}_R01.txt").write_text("\r\n".join([*lines, "", ""]), newline="")
    return raw


def write_ipol(raw: pathlib.Path, walks=("1-1", "2-1"), lost=()) -> pathlib.Path:
    """Walks of the IPOL layout: 20 s, swings every second; the packets `lost` are left out.

    Every second is of another size, for else one person would be a copy of another.
    """
    (raw / "GaitData").mkdir(parents=True)
    for k, walk in enumerate(walks):
        rng = np.random.default_rng(k)
        left = [[200 + 100 * i, 240 + 100 * i] for i in range(15)]
        right = [[250 + 100 * i, 290 + 100 * i] for i in range(15)]
        description = {
            "Subject": int(walk.split("-")[0]),
            "Weight": float("nan"),
            "Height": 170.0,
            "TrialBoundaries": [200, 1690],
            "UTurnBoundaries": [900, 1050],
            "LeftFootEvents": left,
            "RightFootEvents": right,
        }
        (raw / "GaitData" / f"{walk}.json").write_text(json.dumps(description))
        for sensor in ipol.SENSORS:
            t = np.arange(2000) / 100
            size = np.repeat(rng.uniform(0.7, 1.3, 20), 100)
            moves = ((t > 2) * size * np.sin(2 * np.pi * t))[:, None]
            values = np.concatenate(
                [
                    100 * t[:, None],
                    np.array([G, 0, 0]) + 4 * moves + 0.02 * rng.standard_normal((len(t), 3)),
                    moves + 0.01 * rng.standard_normal((len(t), 3)),
                    np.ones((len(t), 3)),
                ],
                axis=1,
            )
            rows = [r for i, r in enumerate(values) if sensor != "lb" or i not in lost]
            text = "Acquisition frequency: 100 Hz\n" + "\t".join(ipol.HEADER) + "\n"
            text += "".join("\t".join(f"{v:.6f}" for v in row) + "\n" for row in rows)
            (raw / "GaitData" / f"{walk}_{sensor}.txt").write_text(text)
    return raw


def hash_files(folder: pathlib.Path) -> dict:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def unpack_members(archive: pathlib.Path, members: list[str], to: pathlib.Path) -> pathlib.Path:
    missing = set(members)
    with tarfile.open(archive, "r|xz") as tar:  # in one pass, no further than the last of them
        for member in tar:
            if member.name in missing:
                tar.extract(member, to, **EXTRACT)
                missing.remove(member.name)
            if not missing:
                return to
    raise FileNotFoundError(missing)


def edit_lines(file: pathlib.Path, change):
    lines = file.read_text().split("\n")
    file.write_text("\n".join(change(lines)))


def overwrite_column(index: int, value: str, rows=slice(10, 60)):
    """Overwrite one column (SisFall or IPOL) in some rows."""

    def change(lines):
        for i in range(len(lines))[rows]:
            comma = "," if "," in lines[i] else "\t"
            cells = lines[i].rstrip(";\r").split(comma)
            cells[index] = value
            lines[i] = comma.join(cells) + (";" if comma == "," else "")
        return lines

    return change


def make_still(lines):
    return ["0,-256,0,1,1,1,0,0,0;" for line in lines if line.strip()]


def convert_to_degrees(lines):
    def row(cells):
        return [*cells[:4], *(f"{float(v) * 57.3:.5f}" for v in cells[4:7]), *cells[7:]]

    return lines[:2] + ["\t".join(row(x.split("\t"))) if x else x for x in lines[2:]]
