"""The figures of a benchmark run."""


class Report:
    """The figures of one run: each a name, a value, a unit, and the bar it is held against, if there is one."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(
        self, name: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        met = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        bar = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else ""
        self.rows.append(
            {"name": name, "value": round(value, 3), "unit": unit, "bar": bar, "met": met if bar else None}
        )

    def table(self) -> str:
        width = max(len(str(row["name"])) for row in self.rows)
        verdict = {True: "met", False: "MISSED", None: ""}
        lines = [
            f"{row['name']:<{width}}  {row['value']:>10} {row['unit']:<6} {row['bar']:<8} {verdict[row['met']]}"  # type: ignore[index]
            for row in self.rows
        ]
        return "\n".join(lines)
