from __future__ import annotations

import io
import re
import warnings
import zlib
from typing import Any

# every plugin that may be needed, by name: Image.init() would import the others as well, and does so lazily
from PIL import (  # noqa: F401
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from pairscope.work.job import JobFailed, JobKind, Task
from pairscope.work.sentences import Failure
from pairscope.work.stream import Sink, Source, size

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
MOST_PIXELS = 120_000_000
"""Room for a photograph of 108 megapixels; four bytes each while it is decoded, which RLIMIT_AS has to admit."""
ORIENTATION = 0x0112
"""The EXIF tag; its values beyond 1 and what undoes each: CIPA DC-008, 4.6.4."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow warns beyond it, and refuses beyond twice as many
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 20
PngImagePlugin.MAX_TEXT_MEMORY = 8 << 20
ImageFile.LOAD_TRUNCATED_IMAGES = False


class Thumbnail(JobKind):
    """A small picture of an image, as PNG, upright."""

    name = "thumbnail"
    output = True
    parameters = {"size": "The longer edge in pixels, from 16 to 1024; 320 if it is not given."}
    media = "image/png"
    suffix = ".thumbnail.png"

    def run(self, task: Task) -> dict[str, Any]:
        self.expect(task)
        assert task.input is not None and task.output is not None
        edge = task.whole_number("size", 320, 16, 1024)
        if not size(task.input):
            raise JobFailed(Failure.EMPTY.value)
        sink = Sink(task.output)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(io.BufferedReader(Source(task.input), 64 * 1024), formats=FORMATS) as image:
                    original, kind = image.size, image.format
                    small, turn = _shrink(image, edge)
                    small.save(sink, "PNG")  # type: ignore[arg-type]  # it calls write() and no more
        except JobFailed:
            raise
        except UnidentifiedImageError:
            raise JobFailed(Failure.NO_IMAGE.value) from None
        except Image.DecompressionBombError as error:
            pixels = re.search(r"\d+", str(error))
            raise JobFailed(
                Failure.PIXELS.say(count=f"{int(pixels[0]) if pixels else 0:,}", most=f"{MOST_PIXELS:,}")
            ) from None
        except MemoryError:
            raise JobFailed(Failure.IMAGE_MEMORY.value) from None
        except OSError as error:
            if error.errno:  # not the decoder's word but the kernel's
                raise
            raise JobFailed(_damaged(error)) from None
        except (
            Exception
        ) as error:  # decoders raise anything when fed with damage: SyntaxError, struct.error, KeyError ...
            raise JobFailed(_damaged(error)) from None
        return {
            "width": small.width,
            "height": small.height,
            **({"turned": Failure.UPRIGHT.say(count=turn)} if turn is not None else {}),
            "original": {"width": original[0], "height": original[1], "format": kind},
            "stored": sink.written,
        }

    def exercise(self) -> None:
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
            image = Image.new(mode, (40, 24))
            for kind in FORMATS:
                stream = io.BytesIO()
                try:
                    image.save(stream, kind, exif=_turned())
                except (OSError, ValueError):  # a mode that this format does not have
                    continue
                data = stream.getvalue()
                self.attempt(data, size=16)
                self.attempt(data[: len(data) * 2 // 3])
        self.attempt(b"")
        self.attempt(b"not an image")
        header = b"IHDR" + (1 << 16).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
        self.attempt(b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + zlib.crc32(header).to_bytes(4, "big"))


def _shrink(image: ImageFile.ImageFile, edge: int) -> tuple[Image.Image, int | None]:
    """The first frame, at most `edge` pixels long, without metadata and turned upright; and the orientation of EXIF
    that it had, if it was turned."""
    image.draft("RGB", (2 * edge, 2 * edge))  # JPEG then decodes at an eighth of the size, and of the memory
    image.load()
    try:
        said = image.getexif().get(ORIENTATION)
        turn = said if said in UPRIGHT else None
    except Exception:  # damaged EXIF: the picture itself is fine
        turn = None
    small = _in_colour(image)
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    small = small.transpose(UPRIGHT[turn]) if turn is not None else small
    small.info = {}
    return small, turn


def _in_colour(image: Image.Image) -> Image.Image:
    """`image` in a mode that can be resized smoothly and saved as PNG. Palettes and bitmaps cannot; the rest is not
    copied."""
    if image.mode.startswith("I;16"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if "transparency" in image.info or image.mode == "PA":
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _damaged(error: Exception) -> str:
    words = str(error)[:150] or type(error).__name__
    if "MAX_TEXT_CHUNK" in words or "MAX_TEXT_MEMORY" in words:
        words = Failure.TEXT_CHUNK.value
    return Failure.DAMAGED.say(came=words)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return exif
