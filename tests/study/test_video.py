"""Decoding and encoding, against OpenCV's own reader, and files that are broken on purpose."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from stt_core.errors import InputError
from stt_core.pictures import frame_size, read_frame, video_frames
from stt_study.video.frames import open_video, write_video

RNG = np.random.default_rng(0)
GROUND = cv2.resize(RNG.integers(40, 216, (4, 5, 3), dtype=np.uint8), (64, 48))


def images(count: int, ground: np.ndarray = GROUND) -> list[np.ndarray]:
    return [np.roll(ground, 2 * t, axis=1) for t in range(count)]


def encode(
    path: Path, count: int = 12, codec: str = "libx264", turned: int = 0, aspect: Fraction = Fraction(1), **mux
) -> Path:
    """Written by PyAV alone: `write_video` makes one kind of file only."""
    with av.open(str(path), "w", options=mux) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = (*GROUND.shape[:2], "yuv420p")
        stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        for image in images(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def opencv(path: Path) -> list[np.ndarray]:
    reader = cv2.VideoCapture(str(path))
    frames = []
    while (read := reader.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def test_written_and_read(tmp_path: Path) -> None:
    """Odd sides, an uneven rate; the padding repeats the last row and column."""
    times = [0.0, 0.04, 0.3, 0.31, 1.0]
    frames = images(5, GROUND[:47, :63])
    write_video(tmp_path / "a.mp4", zip(times, frames, strict=True), 25)
    video = open_video(tmp_path / "a.mp4")
    assert (video.size, video.count) == ((48, 64), 5)
    read = list(video.frames())
    assert [frame.number for frame in read] == list(range(5))
    assert [frame.time for frame in read] == pytest.approx(times, abs=1e-4)
    for frame, other, image in zip(read, opencv(tmp_path / "a.mp4"), frames, strict=True):
        assert frame.image.dtype == np.uint8
        assert difference(frame.image[:47, :63], image) < 8  # lossy: chroma has half the resolution
        assert difference(frame.image, other) < 8
        assert difference(frame.image[47], frame.image[46]) < 8


def test_colours_are_kept(tmp_path: Path) -> None:
    for colour in ((200, 30, 40), (20, 180, 60), (30, 60, 220)):
        flat = np.full((48, 64, 3), colour, np.uint8)
        write_video(tmp_path / "a.mp4", [(t / 10, flat) for t in range(3)], 10)
        for frame in open_video(tmp_path / "a.mp4").frames():
            assert np.abs(frame.image.reshape(-1, 3).mean(axis=0) - colour).max() < 4


def test_rate_of_ntsc(tmp_path: Path) -> None:
    rate = 30000 / 1001
    write_video(tmp_path / "a.mp4", [(t / rate, image) for t, image in enumerate(images(10))], rate)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == pytest.approx(rate)
        assert float(stream.duration * stream.time_base) == pytest.approx(10 / rate)


@pytest.mark.parametrize("turned", [90, -90, 180])
def test_rotation_of_phones(tmp_path: Path, turned: int) -> None:
    """Against OpenCV, which turns such frames, too, and against the frames of the same file without the rotation."""
    path = encode(tmp_path / "turned.mp4", 3, turned=turned)
    plain = list(open_video(encode(tmp_path / "plain.mp4", 3)).frames())
    video = open_video(path)
    assert video.size == ((48, 64) if turned == 180 else (64, 48))
    for frame, other, upright in zip(video.frames(), opencv(path), plain, strict=True):
        assert difference(frame.image, other) < 3
        assert np.array_equal(frame.image, np.rot90(upright.image, turned // 90))


@pytest.mark.parametrize(("across", "down"), [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("transposed", [False, True])
def test_display_matrix(tmp_path: Path, transposed: bool, across: int, down: int) -> None:
    """All eight, written into the file's header: pixel (x, y) is shown at x (a, b) + y (c, d), moved to begin at 0."""
    path = encode(tmp_path / "a.mp4", 2)
    plain = next(open_video(path).frames()).image
    a, b, c, d = (0, down, across, 0) if transposed else (across, 0, 0, down)
    content = bytearray(path.read_bytes())
    begin = content.index(b"tkhd") + 44
    content[begin : begin + 36] = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(content)
    y, x = np.mgrid[: plain.shape[0], : plain.shape[1]]
    columns, lines = a * x + c * y, b * x + d * y
    expected = np.empty(((64, 48) if transposed else (48, 64)) + (3,), np.uint8)
    expected[lines - lines.min(), columns - columns.min()] = plain
    assert np.array_equal(next(open_video(path).frames()).image, expected)
    assert np.array_equal(read_frame(video_frames(path, 1)[0]), expected)


@pytest.mark.parametrize("turned", [0, 90])
def test_pixels_that_are_not_square(tmp_path: Path, turned: int) -> None:
    """Shown as wide as players show them: 64 px of 16:11 are 93."""
    path = encode(tmp_path / "a.mp4", 2, turned=turned, aspect=Fraction(16, 11))
    video = open_video(path)
    assert video.size == ((93, 48) if turned else (48, 93))
    wide = np.rot90(cv2.resize(images(1)[0], (93, 48)), turned // 90)
    assert difference(next(video.frames()).image, wide) < 6
    assert frame_size(video_frames(path, 1)[0]) == video.size
    write_video(tmp_path / "overlay.mp4", [(0, frame.image) for frame in video.frames()][:1], 25)
    assert opencv(tmp_path / "overlay.mp4")[0].shape[:2] == tuple(side + side % 2 for side in video.size)


def test_a_cut_by_an_edit_list(tmp_path: Path) -> None:
    """Copied from frame 31 on, which needs those before it: they are in the file, but neither shown nor trained on."""
    whole = list(open_video(encode(tmp_path / "whole.mp4", 60)).frames())
    with (
        av.open(str(tmp_path / "whole.mp4")) as source,
        av.open(str(tmp_path / "cut.mp4"), "w", options={"avoid_negative_ts": "disabled"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                ticks = int(31 / 25 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, stream
                target.mux(packet)
    assert len(packets(tmp_path / "cut.mp4")) == 60
    frames = video_frames(tmp_path / "cut.mp4", 1)
    assert len(frames) == 29
    for frame, shown, same in zip(frames, open_video(tmp_path / "cut.mp4").frames(), whole[31:], strict=True):
        assert np.array_equal(shown.image, same.image)
        assert np.array_equal(read_frame(frame), same.image)


def test_a_colon_in_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would take what stands before it for a protocol."""
    monkeypatch.chdir(tmp_path)
    write_video("12:30.mp4", [(0, GROUND)], 25)
    assert open_video("12:30.mp4").size == (48, 64)
    assert read_frame(video_frames(Path("12:30.mp4"), 1)[0]).shape == (48, 64, 3)
    Path("12:31.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"^12:31\.mp4 cannot be read as a video"):
        open_video("12:31.mp4")


def test_skipped_frames_change_nothing(tmp_path: Path) -> None:
    video = open_video(encode(tmp_path / "a.mp4"))
    whole = list(video.frames())
    for frame, same in zip(video.frames(skip=range(1, 7)), [whole[0], *whole[7:]], strict=True):
        assert (frame.number, frame.time) == (same.number, same.time)
        assert np.array_equal(frame.image, same.image)


def test_folder_in_the_order_of_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((4, 6, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no frame")
    video = open_video(tmp_path, rate=5)
    assert (video.size, video.count, video.rate) == ((4, 6), 3, 5)
    assert [(f.number, f.time, f.image[0, 0, 0]) for f in video.frames()] == [(0, 0, 9), (1, 0.2, 10), (2, 0.4, 100)]
    # Frames that are not done yet may be repaired; those that are may not.
    done = video.fingerprint(2)
    (tmp_path / "frame100.png").write_bytes(b"")
    assert video.fingerprint(2) == done
    (tmp_path / "frame10.png").write_bytes(b"")
    assert video.fingerprint(2) != done


def packets(path: Path) -> list[tuple[int, int]]:
    """Place and size in the file of every coded frame."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def broken(path: Path) -> tuple[int, str]:
    """How many good frames came before the error, and its sentence."""
    frames = open_video(path).frames()
    good = 0
    try:
        for _ in frames:
            good += 1
    except InputError as error:
        return good, str(error)
    pytest.fail(f"{path} went through")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mp4", "mpeg4"), ("a.avi", "mpeg4")])
def test_a_frame_in_the_middle_is_corrupt(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, 40, codec)
    position, size = packets(path)[30]
    content = bytearray(path.read_bytes())
    content[position + size // 4 : position + size] = RNG.integers(0, 256, size - size // 4, np.uint8).tobytes()
    path.write_bytes(content)
    good, sentence = broken(path)
    assert 25 <= good <= 30  # H.264 keeps some frames back
    assert sentence.startswith(f"{path} cannot be decoded from frame {good} (at {good / 25:.2f} s) on; ")


def test_a_film_that_was_cut_off(tmp_path: Path) -> None:
    for name, codec, mux in (("a.mp4", "libx264", {"movflags": "faststart"}), ("a.mkv", "libx264", {})):
        path = encode(tmp_path / name, 40, codec, **mux)
        position, size = packets(path)[30]
        path.write_bytes(path.read_bytes()[: position + size // 2])
        good, sentence = broken(path)
        assert 25 <= good <= 30
        assert str(path) in sentence
        assert f"frame {good}" in sentence or f"ends after frame {good - 1} (at " in sentence


def test_a_cut_between_two_frames(tmp_path: Path) -> None:
    """Nothing is broken there; only the header tells that something is missing."""
    path = encode(tmp_path / "a.mp4", 40, "mpeg4", movflags="faststart")
    path.write_bytes(path.read_bytes()[: packets(path)[20][0]])
    good, sentence = broken(path)
    assert good == 20
    assert sentence == f"{path} ends after frame 19 (at 0.76 s), but should last 1.60 s; restore the rest of it."
