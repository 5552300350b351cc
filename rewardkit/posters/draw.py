"""Draw a scene: a shape on a background with a line of text below it.

Everything is laid out on a grid of 64 units, so that a poster looks the same at any size. The constants here are also
used by the gold judge.
"""

import math
from pathlib import Path

from PIL import Image, ImageDraw

from rewardkit.posters.fonts import font_for, load_font
from rewardkit.posters.scene import Scene

RGB = tuple[int, int, int]

COLOUR_RGB: dict[str, RGB] = {
    "red": (222, 38, 38),
    "orange": (245, 130, 20),
    "yellow": (250, 214, 30),
    "green": (30, 160, 60),
    "blue": (40, 105, 235),
    "purple": (145, 50, 190),
}
BACKGROUND_RGB: dict[str, RGB] = {
    "white": (246, 246, 246),
    "grey": (150, 150, 150),
    "navy": (22, 30, 84),
    "mint": (170, 232, 204),
}
INK: dict[str, RGB] = {"white": (20, 20, 20), "grey": (20, 20, 20), "navy": (250, 250, 250), "mint": (20, 20, 20)}
MUTED = 0.4
"""How far a muted colour is moved towards middle grey."""
GRID = 64
CENTRE_X = {"left": 17.0, "centre": 32.0, "right": 47.0}
CENTRE_Y = 23.0
RADIUS = {"small": 8.5, "large": 14.5}
TEXT_Y = 53.0
TEXT_HEIGHT = 16
SUPERSAMPLE = 4


def shape_rgb(colour: str, finish: str) -> RGB:
    """The colour of a shape: unchanged if vivid, closer to grey if muted."""
    return _finish(COLOUR_RGB[colour], finish)


def background_rgb(background: str, finish: str) -> RGB:
    """The colour of a background."""
    return _finish(BACKGROUND_RGB[background], finish)


def _finish(rgb: RGB, finish: str) -> RGB:
    if finish == "vivid":
        return rgb
    grey = sum(rgb) / 3
    red, green, blue = (round(channel + (grey - channel) * MUTED) for channel in rgb)
    return red, green, blue


def outline(shape: str, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Corner points of a shape, in grid units; a circle is a polygon of 48 corners."""
    if shape == "square":
        half = radius * 0.89  # about the area of the circle
        return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    if shape == "triangle":
        return [(x, y - radius), (x + radius, y + radius * 0.85), (x - radius, y + radius * 0.85)]
    star = [radius * 1.1 if i % 2 == 0 else radius * 0.46 for i in range(10)]
    reach = star if shape == "star" else [radius] * 48
    turn = 2 * math.pi / len(reach)
    return [(x + r * math.sin(i * turn), y - r * math.cos(i * turn)) for i, r in enumerate(reach)]


def draw(scene: Scene, size: int = 64, font: Path | None = None) -> Image.Image:
    """Draw a whole scene as an RGB image of `size` x `size` pixels."""
    if None in (scene.shape, scene.colour, scene.position, scene.size, scene.background, scene.finish):
        raise ValueError(f"only a whole scene can be drawn; got {scene} (fill it first)")
    unit = size / GRID
    ground = background_rgb(str(scene.background), str(scene.finish))
    large = Image.new("RGB", (size * SUPERSAMPLE, size * SUPERSAMPLE), ground)
    points = outline(str(scene.shape), CENTRE_X[str(scene.position)], CENTRE_Y, RADIUS[str(scene.size)])
    scale = unit * SUPERSAMPLE
    fill = shape_rgb(str(scene.colour), str(scene.finish))
    ImageDraw.Draw(large).polygon([(px * scale, py * scale) for px, py in points], fill=fill)
    image = large.reduce(SUPERSAMPLE)
    if scene.text:
        draw_text(image, scene.text, INK[str(scene.background)], font)
    return image


def draw_text(image: Image.Image, text: str, ink: RGB, font: Path | None = None) -> None:
    """Draw a line of text at the bottom of a poster, smaller if it would not fit."""
    unit = image.width / GRID
    path = font or font_for(text)
    pixels = round(TEXT_HEIGHT * unit)
    while pixels > 4 and load_font(path, pixels).getlength(text) > image.width - 2 * unit:
        pixels -= 1
    place = (image.width / 2, TEXT_Y * unit)
    ImageDraw.Draw(image).text(place, text, fill=ink, font=load_font(path, pixels), anchor="mm")
