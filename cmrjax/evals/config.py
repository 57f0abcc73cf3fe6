"""The config of an evaluator job."""

from dataclasses import dataclass

from cmrjax.core.errors import UserError

EVALUATORS = ("zero_shot", "linear_probe", "retrieval", "attention")
SCHEDULES = ("every_checkpoint", "last_checkpoint")


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """An evaluator job.

    Args:
        evaluator: 'zero_shot', 'linear_probe', 'retrieval' or 'attention'.
        data: a dataset directory; empty takes the one that the run was trained on, which a model
            folder does not name.
        split: 'test' or 'val'.
        fold: `(i, k)`; empty takes the pinned split, or with empty `data` the run's own fold.
        tasks: labels; empty takes all that apply.
        prompts: of zero-shot: 'phantom', 'acdc' or a JSON file.
        ceiling_workdir: of the probe: a supervised run, reported beside as 'supervised'.
        sentence: of attention: what the gradient map asks for; empty asks for all of the embedding.
        drawn_studies: of attention: how many studies are drawn.
        n_bootstrap: resamples of patients.
        seed: of the resampling.
        batch_size: clips of a batch.
        schedule: 'every_checkpoint' or 'last_checkpoint'.
        suffix: added to the evaluator's name, to keep results on several datasets apart.
        patience_s: how long `--follow` waits for a trainer that shows no life.
    """

    evaluator: str
    data: str = ""
    split: str = "test"
    fold: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    prompts: str = "phantom"
    ceiling_workdir: str = ""
    sentence: str = ""
    drawn_studies: int = 2
    n_bootstrap: int = 2000
    seed: int = 0
    batch_size: int = 32
    schedule: str = "every_checkpoint"
    suffix: str = ""
    patience_s: float = 600.0

    def __post_init__(self):
        allowed = {"evaluator": EVALUATORS, "schedule": SCHEDULES, "split": ("test", "val")}
        for key, values in allowed.items():
            if getattr(self, key) not in values:
                raise UserError(
                    f"{key} = {getattr(self, key)!r}", where="config", fix=f"use one of {values}"
                )
        if self.fold and len(self.fold) != 2:
            raise UserError(f"fold = {self.fold}", where="config.fold", fix="give (i, k)")
        if self.evaluator == "linear_probe" and self.split != "test":
            raise UserError(
                "the probe is chosen on 'val'", where="config.split", fix="use split 'test'"
            )
        if self.batch_size < 1 or min(self.n_bootstrap, self.drawn_studies) < 0:
            raise UserError("batch_size, n_bootstrap or drawn_studies is too small", where="config")
        if not self.suffix.replace("_", "a").replace("-", "a").isalnum() and self.suffix:
            raise UserError("suffix holds more than letters, digits, - and _", where="config")

    @property
    def name(self) -> str:
        """The evaluator's name in rows."""
        return f"{self.evaluator}_{self.suffix}" if self.suffix else self.evaluator
