"""The training loop: every update is logged and shown, checkpoints are saved; a signal ends the run after a save."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rewardkit.io.progress import Progress
from rewardkit.training.interrupt import Interrupt
from rewardkit.training.learner import Learner
from rewardkit.training.run import Run

Numbers = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The loop of a run, which continues from the learner's step."""

    title: str
    run: Run
    learner: Learner
    updates: int
    save_every: int

    def train(
        self,
        update: Callable[[], tuple[Numbers, Numbers]],
        save: Callable[[], object],
        *,
        after: Callable[[bool], None] = lambda last: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Call `update`, which returns what to log and what to show, until the last update or until `stopped`.

        `save` writes a checkpoint: every `save_every` updates, after the last, and after a signal. `after` is
        called at the end of every update with whether it is the last.
        """
        learner = self.learner
        with Progress(self.title, self.updates, learner.step) as bar, Interrupt(learner.world) as interrupt:
            while learner.step < self.updates and not stopped():
                logged, shown = update()
                self.run.log(learner.step, logged)
                bar.update(1, **shown)
                last, leaving = learner.step == self.updates or stopped(), interrupt.due()
                if learner.step % self.save_every == 0 or last or leaving:
                    save()
                after(last)
                if leaving:
                    interrupt.leave(learner.step, self.run.close)
