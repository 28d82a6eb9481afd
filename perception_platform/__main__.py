"""``python -m perception_platform``: the command without its script."""

from perception_platform.cli.main import main

if __name__ == "__main__":
    main()
