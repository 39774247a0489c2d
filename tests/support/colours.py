"""How well a colour stands out from another."""

from matplotlib.colors import to_rgb


def relative_luminance(colour):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in to_rgb(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lights = sorted([relative_luminance(one), relative_luminance(other)])
    return (lights[1] + 0.05) / (lights[0] + 0.05)
