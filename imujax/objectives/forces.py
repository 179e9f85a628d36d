"""Forces and moments of simulated walkers, read from what one of their sensors says.

Beside the windows that are trained on stand windows of simulated people, whose ground forces and
knee moments are known at every sample (imujax/simulate/forces.py). The encoders learn to give them:
one linear layer on what they have at each sample gives the curves, another on the embedding gives
each curve's mean, maximum and minimum in the window.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imujax.nets import networks, towers
from imujax.objectives import encoding
from imujax.objectives.objective import Objective
from imujax.simulate.forces import PART, TARGETS

SUMMARIES = (jnp.mean, jnp.max, jnp.min)


def forces(config: ConfigDict, mesh: jax.sharding.Mesh | None, full: bool) -> Objective:
    """Mean squared error of the curves, in their SDs, and of their mean, maximum and minimum.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective; the simulated windows are always whole.

    Returns
    -------
    Objective
        Of the batch's part `simulated` alone.

    Raises
    ------
    UserError
        The network has no features along the windows.
    """
    del full
    networks.require_curves(config.net)
    along = towers.CurveRegressor(config.net, outputs=len(TARGETS))
    whole = towers.Regressor(config.net, outputs=len(SUMMARIES) * len(TARGETS))
    heads = {"force_curves": along, "force_summaries": whole}

    def estimate(variables, batch, train):
        """Mean squared errors of each window [B], of the curves and of their summaries."""
        errors, stats = {}, {}
        params = variables["params"]
        goals = {
            "force_curves": batch["forces"],
            "force_summaries": jnp.concatenate([f(batch["forces"], 1) for f in SUMMARIES], -1),
        }
        for name, tower in heads.items():
            encoders = {key: x for key, x in params.items() if key not in heads}
            own = variables | {"params": encoders | {"output": params[name]}}
            inputs = batch["acc"][:, :, None], batch["gyr"][:, :, None], None
            y = tower.apply(own, *inputs, train=train, mutable=["batch_stats"] if train else False)
            y, stats = y if train else (y, {})
            error = (y - goals[name]) ** 2
            errors[name] = error.mean(tuple(range(1, error.ndim)))
        return errors, stats

    encode = encoding.make_encode(
        config,
        mesh,
        True,
        lambda variables, batch, _: estimate(variables, batch, train=True),
        ("acc", "gyr", "forces"),
    )

    def init(key):
        window = jnp.zeros((2, config.window, 1, 3))
        made = {name: tower.init(key, window, window) for name, tower in heads.items()}
        encoders = {key: x for key, x in made["force_curves"]["params"].items() if key != "output"}
        outputs = {name: one["params"]["output"] for name, one in made.items()}
        stats = made["force_curves"].get("batch_stats", {})
        return {"params": encoders | outputs, "stats": stats}

    def loss(variables, batch, key):
        del key
        errors, stats = encode(variables["params"], variables["stats"], batch[PART])
        means = {name: error.mean() for name, error in errors.items()}
        return sum(means.values()), (means, stats)

    def monitor(variables, batch, key):
        del key
        frozen = {"params": variables["params"], "batch_stats": variables["stats"]}
        errors, _ = estimate(frozen, batch[PART], train=False)
        means = {f"monitor_{name}": error.mean() for name, error in errors.items()}
        return means | {"monitor_loss": sum(means.values())}

    return Objective(init, loss, monitor)
