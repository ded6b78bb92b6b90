"""The figure of docs/sampled.md: λ_max of exact and sampled HSR over ρ, a panel for each setting, as SVG."""

import math

WIDTH, HEIGHT, COLUMNS = 330, 262, 3
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 46
INK, GRID = "#3c3c3c", "#e4e4e4"
# Of the palette of Okabe and Ito, as in the examples' figures.
COLORS = {"HSR": "#009e73", "HSR sampled": "#cc79a7"}
NAMES = {"HSR": "exact", "HSR sampled": "sampled"}


def ticks(low, high):
    """1, 2, 5 times the powers of ten; where these are many, the powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [digit * 10.0**power for power in powers for digit in (1, 2, 5) if low <= digit * 10.0**power <= high]
    return found if len(found) <= 8 else [tick for tick in found if math.isclose(10 ** round(math.log10(tick)), tick)]


def draw(panels):
    """SVG of panels: (title, SGD's λ_max, {kind: [(ρ, least, mean, greatest, whether a run diverged)]})."""
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" font-size="13">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for index, panel in enumerate(panels):
        parts.append(f'<g transform="translate({index % COLUMNS * WIDTH} {index // COLUMNS * HEIGHT})">{"".join(drawn(*panel))}</g>')
    parts.append(legend(width / 2, rows * HEIGHT + 18))
    return "\n".join([*parts, "</svg>\n"])


def drawn(title, sgd, curves):
    strengths = [point[0] for curve in curves.values() for point in curve]
    # Networks thrown out of their minimum are drawn at the panel's edge.
    points = [point for curve in curves.values() for point in curve if not point[4]]
    low, high = min(point[1] for point in points) / 1.15, max([sgd, *(point[3] for point in points)]) * 1.3
    first, last = min(strengths) / 1.2, max(strengths) * 1.2
    across = lambda rho: LEFT + (WIDTH - LEFT - RIGHT) * math.log(rho / first) / math.log(last / first)
    down = lambda value: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(min(max(value, low), high) / low) / math.log(high / low)
    text = lambda x, y, words, rest="": f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="middle" {rest}>{words}</text>'
    yield text((LEFT + WIDTH - RIGHT) / 2, 20, title, 'font-size="15"')
    for tick in ticks(low, high):
        yield f'<path d="M{LEFT} {down(tick):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>'
        yield text(LEFT - 6, down(tick) + 4.5, f"{tick:g}").replace("middle", "end", 1)
    for tick in ticks(first, last):
        yield f'<path d="M{across(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>'
        yield text(across(tick), HEIGHT - BOTTOM + 17, f"{tick:g}")
    yield f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" stroke="{INK}" fill="none"/>'
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 35, "ρ")
    yield text(0, 0, "λ_max", f'transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"')
    yield f'<path d="M{LEFT} {down(sgd):.1f}H{WIDTH - RIGHT}" stroke="#d55e00" stroke-width="1.5" stroke-dasharray="6 4"/>'
    for kind, curve in curves.items():
        # Side by side, so that neither range covers the other.
        aside = -3 if kind == "HSR" else 3
        for rho, least, _, greatest, _ in curve:
            yield f'<path d="M{across(rho) + aside:.1f} {down(least):.1f}V{down(greatest):.1f}" stroke="{COLORS[kind]}" stroke-width="1.5" opacity="0.6"/>'
        line = "L".join(f"{across(rho) + aside:.1f} {down(value):.1f}" for rho, _, value, _, _ in curve)
        yield f'<path d="M{line}" stroke="{COLORS[kind]}" stroke-width="2" fill="none"/>'
        yield from (marker(kind, across(rho) + aside, down(value), lost) for rho, _, value, _, lost in curve)


def marker(kind, x, y, hollow=False):
    shape = "-4 -4H4V4H-4Z" if kind == "HSR" else "0 -5.5L5.5 0L0 5.5L-5.5 0Z"
    fill = "white" if hollow else COLORS[kind]
    return f'<path transform="translate({x:.1f} {y:.1f})" d="M{shape}" fill="{fill}" stroke="{COLORS[kind]}" stroke-width="1.5"/>'


def legend(middle, y):
    parts = []
    for at, (kind, name) in zip((middle - 400, middle - 300), NAMES.items()):
        parts.append(f'<path d="M{at:.0f} {y}h34" stroke="{COLORS[kind]}" stroke-width="2"/>' + marker(kind, at + 17, y))
        parts.append(f'<text x="{at + 42:.0f}" y="{y + 4.5}" fill="{INK}">{name}</text>')
    parts.append(f'<path d="M{middle - 180:.0f} {y}h34" stroke="#d55e00" stroke-width="1.5" stroke-dasharray="6 4"/>')
    words = "SGD        mean; bars: least … greatest of the seeds; hollow: a run diverged".replace("  ", "\u00a0 ")
    parts.append(f'<text x="{middle - 138:.0f}" y="{y + 4.5}" fill="{INK}">{words}</text>')
    return "".join(parts)
