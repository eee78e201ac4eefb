"""The hook of the demonstration: reads the event from standard input, says one line, and keeps it in a file.

python -m mithrild.example_hook FILE
"""

import json
import os
import sys


def main() -> int:
    event = json.load(sys.stdin)
    data = event["data"]
    who = (data["instance"] or data["bid"] or {}).get("name", event["subject"])
    left = os.environ.get("MITHRILD_REMAINING_SECONDS")
    said = f"{event['type']} {who}" + (f", {left} s left" if left else "")
    print(said)  # noqa: T201  # a hook's output is kept with its delivery
    with open(sys.argv[1], "a", encoding="utf-8") as file:
        file.write(f"{event['time']} {os.environ['MITHRILD_HOOK']}: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
