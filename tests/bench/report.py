"""Rounds of times → ratios with their spread → a Markdown table.

A ratio is of one pair, taken in one round: the peer's time by ours, above 1 where we are faster.
A cell is the median of the pairs and, in brackets, their quartiles.
"""

from statistics import median, quantiles

from workers import OURS, PEERS, STOCK


def spread(values):
    """Median and quartiles of a list that is not empty."""
    if len(values) < 3:
        return {"median": median(values), "low": min(values), "high": max(values)}
    low, _, high = quantiles(values, n=4, method="inclusive")
    return {"median": median(values), "low": low, "high": high}


def ratios(rounds, name):
    """Each pair's peer time by our time, where the peer took part."""
    return [sample[name] / sample[OURS] for sample in rounds if name in sample]


def best_peer(rounds):
    """Each round's fastest peer by our time."""
    return [min(sample[name] for name in PEERS) / sample[OURS] for sample in rounds]


def cell(values, digits=2):
    """`median (low to high)`, or a dash."""
    if not values:
        return "-"
    figures = spread(values)
    shown = {key: f"{value:.{digits}f}" for key, value in figures.items()}
    return f"{shown['median']} ({shown['low']} to {shown['high']})"


def limits_ms(case, sample, weight_bytes):
    """What the round's multiply-add and read rates allow for the case, in ms."""
    compute = case.flops() / sample["fma"] / 1e6
    read = weight_bytes * len(case.ours) / sample["read"] / 1e6
    return compute, read


def table(header, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def cases_table(results, weight_bytes):
    """The table of the cases: [(case, rounds)] → Markdown."""
    rows = []
    for case, rounds in results:
        pairs = [limits_ms(case, sample, weight_bytes) for sample in rounds]
        compute, read = (median(values) for values in zip(*pairs, strict=True))
        above = [sample[OURS] / max(pair) for sample, pair in zip(rounds, pairs, strict=True)]
        rows.append(
            [
                case.name,
                f"{median(sample[OURS] for sample in rounds):.1f}",
                *[cell(ratios(rounds, name)) for name in PEERS],
                cell(best_peer(rounds)),
                cell(ratios(rounds, STOCK), 1),
                f"{compute:.1f}",
                f"{read:.1f}",
                cell(above),
            ]
        )
    header = ["case", "ours, ms", *PEERS, "best of the three", STOCK]
    header += ["multiply-adds, ms", "reading, ms", "ours by the limit"]
    return table(header, rows)


def firsts_table(rounds):
    """First forwards: ours in ms, the others as ratios."""
    parts = {
        "first forward": lambda sample: sample["first"],
        "load and first forward": lambda sample: sample["load"] + sample["first"],
        "later forwards": lambda sample: sample["later"],
    }
    rows = []
    for name, part in parts.items():
        times = [{engine: part(sample[engine]) for engine in sample} for sample in rounds]
        ours = f"{median(sample[OURS] for sample in times):.1f}"
        cells = [cell(ratios(times, engine), 1) for engine in [*PEERS, STOCK]]
        rows.append([name, ours, *cells])
    return table(["1x16, fresh process", "ours, ms", *PEERS, STOCK], rows)


def processes_table(what, unit, rounds):
    """Whole processes: ours in its unit, the others as ratios."""
    others = [name for name in rounds[0] if name != OURS]
    ours = cell([sample[OURS] for sample in rounds], 1)
    row = [what, ours, *[cell(ratios(rounds, name), 1) for name in others]]
    return table(["whole process", f"ours, {unit}", *others], [row])


def programs_table(lines, results):
    """Files of lines: seconds, and shares of the processor time of JSON with all vectors."""
    parts = ["tokenizing", "encoding", "printing"]
    rows = []
    for dtype, samples in results.items():
        seconds = [cell([it[name] for it in samples], 1) for name in ("json", "npy")]
        times = [median(it[part] for it in samples) for part in parts]
        shares = [f"{100 * it / sum(times):.0f} %" for it in times]
        mean = 100 * times[0] / sum(times[:2])
        rows.append([dtype, *seconds, *shares, f"{mean:.0f} %"])
    header = [f"{lines} lines, all-MiniLM", "to JSON, s", "means to npy, s"]
    shares = [f"{part} in JSON" for part in parts]
    return table([*header, *shares, "tokenizing in npy"], rows)


def memory_table(figures):
    """{engine: {peak, above_files}} in MB."""
    rows = [
        [name, f"{sizes['peak']:.0f}", f"{sizes['above_files']:.0f}"]
        for name, sizes in figures.items()
    ]
    return table(["one sentence", "peak memory, MB", "above mapped files, MB"], rows)


def agreement_table(figures):
    """{engine: {max, mean, from_ours}}."""
    rows = [
        [name, *(f"{errors[key]:.1e}" for key in ("max", "mean", "from_ours"))]
        for name, errors in figures.items()
    ]
    header = ["last_hidden_state", "largest error against float64", "mean error"]
    return table([*header, "largest difference from ours"], rows)
