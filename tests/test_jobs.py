"""The jobs, on real descriptors, in a process of the test's own and inside the closed sandbox."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from pairscope.ipc import memfd
from pairscope.sandbox import BOTH, NONE, SECCOMP, landlock, syscalls
from pairscope.work.job import JobFailed, JobKind, Task
from pairscope.work.jobs import catalogue
from tests.confinement import OUTPUT_MAX, Confined
from tests.eventually import eventually

JOBS = catalogue()


class Outcome(dict):
    """What a job said, and what it wrote."""

    output = b""


class Bench:
    """Runs jobs on bytes, in here or in a confined child, with descriptors passed to it after it was closed."""

    def __init__(self, child: Confined | None = None) -> None:
        self.child = child

    def __call__(self, kind: str, data: bytes = b"", *, spare: bool = False, **parameters: Any) -> Outcome:
        with memory(data) as source:
            return self.on(kind, source, spare=spare, **parameters)

    def on(self, kind: str, source: int, *, spare: bool = False, **parameters: Any) -> Outcome:
        sink = memfd.empty("output")
        try:
            outputs = JOBS[kind].output
            if self.child is None:
                outcome = Outcome(
                    _run(kind, Task(kind, "test", parameters, b"", source, sink if outputs else None, spare))
                )
            else:
                fds = [source, sink] if outputs else [source]
                answer = self.child.ask(
                    fds, job=kind, parameters=parameters, data="", input=True, output=outputs, spare=spare
                )
                assert answer is not None, f"the worker ended: {self.child.process.wait(10)}"
                outcome = Outcome(answer)
            outcome.output = memfd.read_all(sink, os.fstat(sink).st_size)
            return outcome
        finally:
            os.close(sink)


class memory:
    """A sealed memfd for the length of a with block."""

    def __init__(self, data: bytes) -> None:
        self.fd = memfd.sealed("input", data)

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _run(kind: str, task: Task) -> dict[str, Any]:
    try:
        return {"result": JOBS[kind].run(task)}
    except JobFailed as failure:
        return {"failed": str(failure)}


def _levels() -> list[Any]:
    unavailable = []
    if syscalls.seccomp is None:
        unavailable.append("libseccomp.so.2 is not installed")
    both = list(unavailable)
    try:
        landlock.abi()
    except landlock.Unavailable as error:
        both.append(f"Landlock: {error}")

    def level(name: str, lacks: list[str]) -> Any:
        skipped = [pytest.mark.skip(reason=", ".join(lacks))] if lacks else []
        return pytest.param(name, marks=[pytest.mark.process, *skipped])

    return ["here", level(BOTH, both), level(SECCOMP, unavailable), level(NONE, [])]


@pytest.fixture(scope="module", params=_levels())
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "here":
        yield Bench()
        return
    with Confined(jobs=True, most=request.param) as child:
        assert child.hello["level"] == request.param
        yield Bench(child)


def image(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that declares a size and has the given chunks, whatever they are."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def black(width: int, height: int) -> bytes:
    lines = zlib.compressobj(1)
    line = b"\0" + bytes(width * 3)
    return b"".join(lines.compress(line) for _ in range(height)) + lines.flush()


# ---- the catalogue


def test_the_catalogue_is_the_files_of_the_package() -> None:
    files = {path.stem for path in (Path(__file__).parent.parent / "app/pairscope/work/jobs").glob("*.py")} - {
        "__init__"
    }
    assert set(JOBS) == files == {"compress", "digest", "echo", "inspect", "thumbnail"}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_job_tells_people_what_it_does_and_the_supervisor_what_it_needs(job: JobKind) -> None:
    spec = job.spec()
    assert spec.name == job.name and spec.summary.endswith(".") and spec.deadline > 0
    assert all(sentence.endswith(".") for sentence in spec.parameters.values())
    assert bool(spec.media) == bool(spec.suffix) == spec.output


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_exercising_leaves_nothing_open(job: JobKind) -> None:
    job.exercise()


# ---- what every job holds to


@pytest.mark.parametrize("kind", JOBS)
def test_an_unknown_parameter_is_refused_in_words(bench: Bench, kind: str) -> None:
    assert "has no parameter 'colour'" in bench(kind, b"x", colour="red")["failed"]


@pytest.mark.parametrize("kind", [name for name, job in JOBS.items() if job.needs_input])
def test_a_job_without_its_input_says_so(kind: str) -> None:
    with pytest.raises(JobFailed, match="works on a descriptor, and none came"):
        JOBS[kind].run(Task(kind))


@pytest.mark.parametrize("kind", JOBS)
def test_the_shared_offset_of_the_input_is_not_moved(bench: Bench, kind: str) -> None:
    with memory(image("PNG")) as source:
        os.lseek(source, 7, os.SEEK_SET)
        assert "result" in bench.on(kind, source)
        assert os.lseek(source, 0, os.SEEK_CUR) == 7


@pytest.mark.parametrize("kind", JOBS)
def test_an_input_that_cannot_be_read_at_a_position_fails_in_words(bench: Bench, kind: str) -> None:
    reader, writer = os.pipe()
    try:
        assert bench.on(kind, reader)["failed"].startswith("the input is not a regular file or a memfd")
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("kind", JOBS)
def test_a_result_is_small_json(bench: Bench, kind: str) -> None:
    assert len(json.dumps(bench(kind, image("PNG", (800, 600)))["result"])) < 8192


# ---- echo


@pytest.mark.parametrize(("data", "answer"), [
    (b"", {"bytes": 0, "text": ""}),
    ("Grüße\n".encode(), {"bytes": 8, "text": "Grüße\n"}),
    (b"\xff\x00", {"bytes": 2, "hex": "ff00"}),
    ("ü".encode()[:1], {"bytes": 1, "hex": "c3"}),
    (b"x" * 5000, {"bytes": 5000, "text": "x" * 4096, "shown": 4096}),
    (b"x" + "ü".encode() * 4000, {"bytes": 8001, "text": "x" + "ü" * 2047, "shown": 4096}),
    (b"\xff" * 5000, {"bytes": 5000, "hex": "ff" * 2048, "shown": 2048}),
])  # fmt: skip
def test_echo_shows_the_first_bytes_of_its_input(bench: Bench, data: bytes, answer: dict[str, Any]) -> None:
    assert bench("echo", data) == {"result": answer}


def test_echo_answers_with_data_that_came_without_a_descriptor() -> None:
    assert JOBS["echo"].run(Task("echo", data=b"hello")) == {"bytes": 5, "text": "hello"}
    assert JOBS["echo"].run(Task("echo")) == {"bytes": 0, "text": ""}


def test_echo_answers_with_a_megabyte_where_a_spare_was_given(bench: Bench) -> None:
    most = 1 << 20 if bench.child is None else 150_000  # the test's own pair has no spill
    assert bench("echo", b"y" * most, spare=True)["result"] == {"bytes": most, "text": "y" * most}


# ---- digest


def test_digest_is_that_of_the_whole_input(bench: Bench) -> None:
    for data in (b"", b"abc", random.Random(1).randbytes(3 * (1 << 20) + 17)):
        assert bench("digest", data)["result"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


# ---- compress


def test_compress_writes_gzip_that_unpacks_to_the_input(bench: Bench) -> None:
    for data in (b"", b"abc" * 10000, random.Random(2).randbytes(200_000)):
        outcome = bench("compress", data)
        assert gzip.decompress(outcome.output) == data
        assert outcome["result"]["bytes"] == len(data)
        assert outcome["result"]["stored"] == len(outcome.output)
        assert outcome["result"]["ratio"] == (round(len(outcome.output) / len(data), 4) if data else None)


def test_compress_makes_equal_output_of_equal_input(bench: Bench) -> None:
    first, second = (bench("compress", b"the same " * 1000).output for _ in range(2))
    assert first == second
    assert first[4:8] == bytes(4), "MTIME"


@pytest.mark.process
def test_compress_is_understood_by_gzip_itself(bench: Bench) -> None:
    outcome = bench("compress", b"a line\n" * 1000)
    assert (
        subprocess.run(["gzip", "-dc"], input=outcome.output, capture_output=True, check=True).stdout
        == b"a line\n" * 1000
    )


@pytest.mark.parametrize(("level", "flag"), [("1", 4), (6, 0), (9, 2)])
def test_compress_takes_a_level(bench: Bench, level: Any, flag: int) -> None:
    outcome = bench("compress", b"data", level=level)
    assert outcome["result"]["level"] == int(level)
    assert outcome.output[8] == flag, "XFL: RFC 1952, 2.3.1"


@pytest.mark.parametrize("level", ["0", 10, "fast", "", None, True, 1.5, "9" * 5000])
def test_compress_refuses_another_level_in_words(bench: Bench, level: Any) -> None:
    outcome = bench("compress", b"x", level=level)
    assert outcome["failed"].endswith("expected a whole number from 1 to 9") and len(outcome["failed"]) < 150
    assert outcome.output == b""


def test_an_output_beyond_its_bound_fails_in_words(bench: Bench) -> None:
    if bench.child is None:
        pytest.skip("only a worker has a bound")
    outcome = bench("compress", random.Random(3).randbytes(OUTPUT_MAX + 100_000))
    assert outcome["failed"] == f"the output exceeds its bound of {OUTPUT_MAX:,} bytes"
    assert len(outcome.output) <= OUTPUT_MAX


# ---- inspect


@pytest.mark.parametrize(("data", "expected"), [
    (b"", {"bytes": 0, "media_type": "inode/x-empty", "text": False, "encoding": None, "lines": 0, "words": 0}),
    (b"a", {"bytes": 1, "media_type": "text/plain", "text": True, "encoding": "ascii", "lines": 0, "words": 1}),
    (b"\n\n\n", {"bytes": 3, "media_type": "text/plain", "encoding": "ascii", "lines": 3, "words": 0}),
    (b"one two\n three\t4\r\n", {"lines": 2, "words": 4}),
    ("Größe\n".encode(), {"encoding": "utf-8", "lines": 1, "words": 1}),
    (b"\xef\xbb\xbfwith a mark\n", {"encoding": "utf-8", "lines": 1, "words": 3}),
    ("Grüße aus Köln, für alle\n".encode("latin-1") * 9, {"encoding": "iso8859-1", "lines": 9, "words": 45}),
    ("Привет, как у вас дела сегодня\n".encode("koi8-r") * 9, {"encoding": "koi8-r", "lines": 9, "words": 54}),
    ("日本語のテキストです。\n".encode("shift_jis") * 9, {"encoding": "shift_jis", "lines": 9, "words": 9}),
    ("two words\nand 日本\n".encode("utf-16"), {"encoding": "utf-16", "lines": 2, "words": 4}),
    ("two words\nand more\n".encode("utf-16-be") * 5, {"encoding": "utf-16-be", "lines": 10, "words": 20}),
    ("two words\n".encode("utf-32"), {"encoding": "utf-32", "lines": 1, "words": 2}),
    (b"x" * 3_000_000, {"bytes": 3_000_000, "encoding": "ascii", "lines": 0, "words": 1}),
    (b"ab " * 1_000_000, {"lines": 0, "words": 1_000_000}),
    (b"a" * 100_000 + "ü\n".encode(), {"encoding": "utf-8", "encoding_from": "whole", "lines": 1}),
    (b"a" * 100_000 + "ü".encode()[:1], {"encoding": "utf-8", "encoding_from": "sample", "text": True}),
    (b"a" * 3_000_000 + b"\n" + "schöne Grüße für später\n".encode("latin-1") * 9, {"encoding": "iso8859-1",
    "lines": 10}),
    (b"A plain line.\n" * 99 + "El señor Muñoz\n".encode("latin-1"), {"encoding": "iso8859-1"}),
    (b"A plain line.\n" * 99 + "It’s a “quote”\n".encode("cp1252"), {"encoding": "cp1252"}),
    (b"\x1b[31mred\x1b[0m\n", {"encoding": "ascii", "text": True}),
    ("日本語".encode("iso2022_jp") * 9, {"encoding": "iso2022_jp", "text": True}),
    (b"plain\n" * 20_000 + "schöne Grüße für später\n".encode("latin-1") * 9, {"encoding": "iso8859-1",
    "encoding_from": "sample"}),
    (b"plain\n" * 20_000 + b"\0", {"text": False, "encoding": None, "media_type": "application/octet-stream"}),
    (b"\x01\x02\x03 hello", {"text": False, "encoding": None}),
    (bytes(range(256)) * 100, {"text": False, "encoding": None, "media_type": "application/octet-stream"}),
    (b"abc\xc3", {"text": True}),
    (b"MZ is how this text begins\n", {"media_type": "text/plain"}),
    (b'{"a": 1}', {"media_type": "application/json", "text": True}),
    (b"<?xml version='1.0'?><a/>", {"media_type": "application/xml"}),
    (b"%PDF-1.7\n\x00\xff", {"media_type": "application/pdf", "text": False}),
    (gzip.compress(b"x", mtime=0), {"media_type": "application/gzip", "text": False}),
    (image("PNG"), {"media_type": "image/png", "text": False}),
    (image("JPEG"), {"media_type": "image/jpeg"}),
    (image("GIF"), {"media_type": "image/gif"}),
    (image("WEBP"), {"media_type": "image/webp"}),
])  # fmt: skip
def test_inspect_tells_what_the_content_is(bench: Bench, data: bytes, expected: dict[str, Any]) -> None:
    result = bench("inspect", data)["result"]
    assert {name: result[name] for name in expected} == expected


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_character_cut_by_the_end_of_the_sample_is_no_error(bench: Bench, cut: int) -> None:
    data = b"x" * cut + "日本語".encode() * 50_000
    assert bench("inspect", data)["result"]["encoding"] == "utf-8"
    assert (
        bench("inspect", b"x" * cut + "日本語のテキスト".encode("shift_jis") * 9000)["result"]["encoding"]
        == "shift_jis"
    )


@pytest.mark.process
def test_inspect_counts_as_wc_does(bench: Bench) -> None:
    chance = random.Random(4)
    data = b"".join(chance.choice((b"word ", b"\n", b"\t\t", b"longer-word\r\n", b" ", b"x")) for _ in range(700_000))
    counted = subprocess.run(["wc"], input=data, capture_output=True, check=True, env={"LC_ALL": "C"}).stdout.split()
    result = bench("inspect", data)["result"]
    assert [result["lines"], result["words"], result["bytes"]] == [int(number) for number in counted]


def test_inspect_reads_a_sparse_file(bench: Bench, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("w+b") as file:
        file.truncate(64 << 20)
        file.seek(40 << 20)
        file.write(b"in the middle\n")
        file.flush()
        result = bench.on("inspect", file.fileno())["result"]
    assert result == {
        "bytes": 64 << 20, "media_type": "application/octet-stream", "text": False,
        "encoding": None, "encoding_from": None, "lines": 1, "words": 4,
    }  # fmt: skip


# ---- thumbnail


def picture(outcome: Outcome) -> Image.Image:
    assert "result" in outcome, outcome
    assert outcome["result"]["stored"] == len(outcome.output)
    small = Image.open(io.BytesIO(outcome.output))
    small.load()
    assert small.format == "PNG" and small.size == (outcome["result"]["width"], outcome["result"]["height"])
    return small


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_thumbnail_shrinks_each_kind_of_image_that_it_takes(bench: Bench, kind: str) -> None:
    outcome = bench("thumbnail", image(kind, (1000, 500)), size=100)
    assert picture(outcome).size == (100, 50)
    assert outcome["result"]["original"] == {"width": 1000, "height": 500, "format": kind}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_thumbnail_takes_each_mode_of_png(bench: Bench, mode: str) -> None:
    stream = io.BytesIO()
    Image.new(mode, (400, 400), 1 if mode == "1" else 40_000 if mode == "I;16" else None or 0).save(stream, "PNG")
    small = picture(bench("thumbnail", stream.getvalue(), size="64"))
    assert small.size == (64, 64)
    if mode in ("1", "I;16"):
        assert small.getpixel((9, 9)) == {"1": 255, "I;16": 156}[mode]


def test_thumbnail_takes_cmyk(bench: Bench) -> None:
    assert picture(bench("thumbnail", image("JPEG", mode="CMYK"))).mode == "RGB"


def test_thumbnail_keeps_transparency_of_a_palette(bench: Bench) -> None:
    stream = io.BytesIO()
    Image.new("P", (100, 100)).save(stream, "PNG", transparency=0)
    assert picture(bench("thumbnail", stream.getvalue(), size=16)).getpixel((8, 8))[3] == 0  # type: ignore[index]


def test_thumbnail_never_enlarges(bench: Bench) -> None:
    assert picture(bench("thumbnail", image("PNG", (20, 10)))).size == (20, 10)


def test_thumbnail_takes_extreme_shapes(bench: Bench) -> None:
    assert picture(bench("thumbnail", image("PNG", (1, 5000)))).size == (1, 320)
    assert picture(bench("thumbnail", image("PNG", (5000, 1)))).size == (320, 1)
    assert picture(bench("thumbnail", image("PNG", (1, 1)))).size == (1, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnail_is_upright(bench: Bench, orientation: int) -> None:
    """Each file shows the same picture: white above, its left half grey."""
    upright = Image.new("L", (400, 200), 0)
    upright.paste(255, (0, 0, 400, 100))
    upright.paste(128, (0, 100, 200, 200))
    how = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)  # fmt: skip
    stored = upright.transpose(how) if how is not None else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    stored.save(stream, "JPEG", exif=exif, quality=95)
    outcome = bench("thumbnail", stream.getvalue(), size=100)
    small = picture(outcome)
    assert small.size == (100, 50)
    assert outcome["result"].get("turned") == (
        f"upright, by EXIF orientation {orientation}" if how is not None else None
    )
    for at, grey in (((25, 12), 255), ((75, 12), 255), ((25, 37), 128), ((75, 37), 0)):
        assert abs(small.getpixel(at) - grey) < 12  # type: ignore[operator]
    assert not small.getexif()


def test_thumbnail_takes_only_the_first_frame(bench: Bench) -> None:
    frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "PNG", "WEBP"):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
        outcome = bench("thumbnail", stream.getvalue())
        red, green, blue = picture(outcome).convert("RGB").getpixel((25, 25))  # type: ignore[misc]
        assert red > 200 and green < 50 and blue < 50
        assert not getattr(Image.open(io.BytesIO(outcome.output)), "is_animated", False)


def test_damaged_exif_does_not_spoil_the_picture(bench: Bench) -> None:
    data = image("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(range(64)))
    assert picture(bench("thumbnail", data)).size == (64, 48)


@pytest.mark.parametrize("size", ["15", 1025, -1, "big", None, [320]])
def test_thumbnail_refuses_another_size_in_words(bench: Bench, size: Any) -> None:
    assert bench("thumbnail", image("PNG"), size=size)["failed"].endswith("expected a whole number from 16 to 1024")


def test_thumbnail_of_nothing_fails_in_words(bench: Bench) -> None:
    assert bench("thumbnail", b"")["failed"] == "the input is empty; expected an image: PNG, JPEG, GIF, WebP or BMP"


@pytest.mark.parametrize("data", [b"I am none", gzip.compress(b"x" * 999, mtime=0),
b"<svg xmlns='http://www.w3.org/2000/svg'/>", bytes(5000),
                                  image("TIFF"), image("ICO")])  # fmt: skip
def test_what_is_no_image_of_a_kind_that_is_read_fails_in_words(bench: Bench, data: bytes) -> None:
    outcome = bench("thumbnail", data)
    assert outcome["failed"].startswith("the input is not an image of a kind that is read here; expected an image: PNG")
    assert outcome.output == b""


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_an_image_that_is_cut_off_fails_in_words(bench: Bench, kind: str) -> None:
    data = image(kind, (300, 300))
    outcome = bench("thumbnail", data[: len(data) // 2])
    assert outcome["failed"].startswith("the image is damaged or cut off: ")


def test_damage_anywhere_gives_a_picture_or_words(bench: Bench) -> None:
    chance = random.Random(5)
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        data = image(kind, (90, 70))
        for _ in range(60):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            outcome = bench("thumbnail", bytes(damaged))
            assert "result" in outcome or ("; " in outcome["failed"] and len(outcome["failed"]) < 300), outcome


# ---- bombs


def test_a_png_that_declares_900_million_pixels_is_not_decoded(bench: Bench) -> None:
    bomb = png(30_000, 30_000, (b"IDAT", zlib.compress(bytes(100_000))))
    assert (
        bench("thumbnail", bomb)["failed"] == "the image declares 900,000,000 pixels; at most 120,000,000 are decoded"
    )


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_other_formats_that_declare_too_much_are_not_decoded(bench: Bench, kind: str) -> None:
    data = bytearray(image(kind))
    at, form = {"GIF": (6, "<HH"), "BMP": (18, "<ii")}[kind]
    struct.pack_into(form, data, at, 30_000, 30_000)
    assert bench("thumbnail", bytes(data))["failed"].startswith("the image declares 900,000,000 pixels")


def test_a_webp_that_declares_the_most_that_it_can_fails_in_words(bench: Bench) -> None:
    if bench.child is None or bench.child.hello["detail"]["limits"]["AS"] > 1 << 30:
        pytest.skip("only a worker has a bound of memory")
    data = bytearray(image("WEBP", (64, 64), lossless=True))
    at = data.index(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little")
    data[at : at + 4] = (bits & ~0xFFFFFFF | 0x3FFF | 0x3FFF << 14).to_bytes(4, "little")
    outcome = bench("thumbnail", bytes(data))
    assert "declares" in outcome["failed"] or "memory" in outcome["failed"] or "damaged" in outcome["failed"]


@pytest.mark.parametrize("chunk", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_chunk_that_unpacks_to_a_hundred_megabytes_fails_in_words(bench: Bench, chunk: bytes) -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    body = b"Comment\0" + (b"\1\0\0\0" if chunk == b"iTXt" else b"\0") + packed
    bomb = png(8, 8, (chunk, body), (b"IDAT", zlib.compress(bytes(8 * 25))))
    assert bench("thumbnail", bomb)["failed"] == (
        "the image is damaged or cut off: a text chunk unpacks to more than it may; expected a complete one"
    )


def test_many_text_chunks_are_bounded_together(bench: Bench) -> None:
    text = PngImagePlugin.PngInfo()
    for number in range(12):
        text.add_text(f"text {number}", "x" * 1_000_000, zip=True)
    assert "a text chunk unpacks to more than it may" in bench("thumbnail", image("PNG", pnginfo=text))["failed"]


def test_the_largest_image_that_is_taken_fits_into_a_workers_memory(bench: Bench) -> None:
    if bench.child is None:
        pytest.skip("only a worker has a bound of memory")
    assert picture(bench("thumbnail", png(12_000, 10_000, (b"IDAT", black(12_000, 10_000))))).size == (320, 267)


def test_an_image_that_needs_more_memory_than_a_worker_may_use_fails_in_words(bench: Bench) -> None:
    if bench.child is None:
        pytest.skip("only a worker has a bound of memory")
    data = png(12_000, 10_000, (b"tRNS", bytes(6)), (b"IDAT", black(12_000, 10_000)))
    assert bench("thumbnail", data)["failed"] == "the image needs more memory to be decoded than a worker may use"


def test_after_every_bomb_the_worker_still_works(bench: Bench) -> None:
    assert bench("digest", b"abc")["result"]["sha256"] == hashlib.sha256(b"abc").hexdigest()
    if bench.child is not None:
        held = f"/proc/{bench.child.pid}/fd"
        eventually(
            lambda: len(os.listdir(held)) == 4,
            "it holds its end and the standard streams, and nothing of a job that is over",
        )
