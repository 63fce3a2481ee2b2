"""The demo, from the first step to the last."""

import sys
from collections.abc import Callable

import removal
import story
from terminal import Trouble

ACTIONS: dict[str, Callable[[], None]] = {"run": story.tell, "clean": removal.remove_all}


def main() -> int:
    try:
        ACTIONS[sys.argv[1]]()
    except Trouble as trouble:
        print(f"\nmake demo: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run it again at any time, or remove everything with: make clean-demo", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
