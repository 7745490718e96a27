"""The command `robustsuite list`."""

from __future__ import annotations

from robustsuite import interruption


def list_recipes() -> int:
    """List the recipes of all installed domains, with what they cost and which data they need.

    Example: robustsuite list
    """
    with interruption.importing():
        from robustsuite import recipes
        from robustsuite.commands import console

        found = recipes.discover()
    names = [name for domain in found.domains.values() for name in domain.recipes]
    width = max(map(len, names), default=0)
    for domain in found.domains.values():
        for family in dict.fromkeys(entry.family for entry in domain.recipes.values()):
            data = ", ".join(source.describe() for source in family.data)
            console.out.print(
                f"[bold]{domain.name}, {family.title}[/bold]  [dim]{data}[/dim]", soft_wrap=True
            )
            for entry in family.entries.values():
                mark = "*" if entry.name in domain.demo else " "
                command = "" if entry.command == "train" else f"{entry.command}: "
                line = f"{mark} {entry.name:{width}s} {entry.minutes:4g} min  {command}{entry.description}"
                console.out.print(line, soft_wrap=True, markup=False)
    console.out.print(
        "* stands in the demo; minutes are those of training and measuring on one core", soft_wrap=True
    )
    for line in found.failures.values():
        console.say(line)
    return 1 if found.failures else 0
