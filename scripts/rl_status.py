"""Say where the long trainings stand: python scripts/rl_status.py [FOLDER OF RUNS]"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(folder: Path) -> None:
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a resumed run supersedes a few of its rows
    for path in sorted(folder.iterdir()):
        if not (path / "recipe.json").exists():
            continue
        events = EventAccumulator(str(path / "metrics"))
        line = "no rollout yet"
        if (path / "metrics").is_dir():
            events.Reload()
            if "rollout/return" in events.Tags()["scalars"]:
                last = events.Scalars("rollout/return")[-1]
                ago = (time.time() - last.wall_time) / 60
                line = f"step {last.step:,}, return {last.value:,.1f}, {ago:.0f} min ago"
        done = " (measured)" if (path / "records.parquet").exists() else ""
        print(f"{path.name}: {line}{done}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/rl"))
