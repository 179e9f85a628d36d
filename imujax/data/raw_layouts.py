"""What the raw files of the study's data sets look like, where two must know it.

The builders in data_builders/ read these files, imujax/simulate/layouts/ writes files like them.
"""

MOVI_RATE = 120.0  # Hz
# MoVi. Name here: joint in the file.  Neck, Spine, Spine2 and Spine3 have no unit.
MOVI_JOINTS = {"pelvis": "Hip", "trunk": "Spine1", "head": "Head"} | {
    f"{name}_{side[0].lower()}": side + joint
    for name, joint in (
        ("thigh", "UpLeg"),
        ("shank", "Leg"),
        ("foot", "Foot"),
        ("shoulder", "Shoulder"),
        ("upper_arm", "Arm"),
        ("forearm", "ForeArm"),
        ("hand", "Hand"),
    )
    for side in ("Right", "Left")
}
# Camargo et al. 2021: the plates that the right foot meets, by mode and way, as in the code of the
# study (Tan et al., ASB 2023).
CAMARGO_PLATES = {
    ("levelground", "cw"): ("Combined", "FP2", "FP5"),
    ("levelground", "ccw"): ("FP1",),
    ("ramp", "r"): ("FP2", "FP4"),
    ("ramp", "l"): ("FP1", "FP3", "FP5"),
    ("stair", "r"): ("FP2", "FP3", "FP4"),
    ("stair", "l"): ("FP1", "FP5"),
}
