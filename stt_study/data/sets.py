"""The data sets that can be had: where their archives are, what is in them, on what terms."""

from dataclasses import dataclass

GB = 10**9  # bytes


@dataclass(frozen=True)
class Archive:
    """A file that holds a set or a part of it.

    Attributes:
        holds: a path that tells the set's own folder from those around it in the archive.
        most_bytes: of the file, and of what it unpacks to.
        url: where anyone may fetch it; none where one has to register.
        torchvision: which of its data sets knows the published MD5; of others SHA-256 is recorded on first use.
        into: folder of the set that all of it goes to.
        nested: it holds a tar for each of its folders.
    """

    name: str
    holds: str
    most_bytes: int
    url: str = ""
    torchvision: str = ""
    into: str = ""
    nested: bool = False


@dataclass(frozen=True)
class DataSet:
    """A data set: its folder below the root, the archives, whose it is and how it may be used.

    Attributes:
        steps: what to do by hand where there is no url; {archives} and {folder} are filled in.
    """

    title: str
    folder: str
    archives: tuple[Archive, ...]
    page: str
    terms: str
    steps: tuple[str, ...] = ()


_DAVIS = "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip"
_JHMDB = "http://files.is.tue.mpg.de/jhmdb/"
_IMAGENETTE = "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz"

SETS = {
    "davis": DataSet(
        "DAVIS-2017 TrainVal, 480p",
        "DAVIS",
        (Archive("DAVIS-2017-trainval-480p.zip", "JPEGImages/480p", 4 * GB, _DAVIS),),
        "https://davischallenge.org/davis2017/code.html",
        "CC BY-NC 4.0",
    ),
    "imagenette": DataSet(
        "Imagenette, 160 px",
        "imagenette2-160",
        (Archive("imagenette2-160.tgz", "train", GB, _IMAGENETTE, "imagenette"),),
        "https://github.com/fastai/imagenette",
        "Apache-2.0 for the selection; the images are ImageNet's",
    ),
    "jhmdb": DataSet(
        "JHMDB, split 1",
        "JHMDB",
        (
            Archive("Rename_Images.tar.gz", "Rename_Images", 20 * GB, f"{_JHMDB}Rename_Images.tar.gz"),
            Archive("joint_positions.zip", "joint_positions", GB, f"{_JHMDB}joint_positions.zip"),
            Archive("splits.zip", "splits", GB // 10, f"{_JHMDB}splits.zip"),
        ),
        "http://jhmdb.is.tue.mpg.de",
        "research",
    ),
    "vip": DataSet(
        "VIP, the part VIP_Fine",
        "VIP_Fine",
        (Archive("VIP_Fine.zip", "lists", 100 * GB),),
        "http://sysu-hcp.net/lip/",
        "research",
        (
            "Ask for access at http://sysu-hcp.net/lip/ (Video Instance-level Parsing); its authors name the place.",
            "Fetch the folder VIP_Fine with Images, Annotations and lists, and nothing else of it.",
            "Put it as VIP_Fine.zip into {archives}, or, if it came as a folder, as it is at {folder}.",
        ),
    ),
    "youtube-vos": DataSet(
        "YouTube-VOS, train",
        "youtube-vos",
        (Archive("train.zip", "train/JPEGImages", 60 * GB),),
        "https://youtube-vos.org/dataset/vos/",
        "CC BY 4.0 for the annotations; research",
        (
            "Register at https://youtube-vos.org/dataset/vos/ and follow it to the files of 2018 or 2019.",
            "Fetch train.zip, which has every fifth frame; not train_all_frames.zip.",
            "Put it into {archives}.",
        ),
    ),
    "imagenet": DataSet(
        "ImageNet 2012, train",
        "imagenet",
        (Archive("ILSVRC2012_img_train.tar", "", 200 * GB, "", "imagenet", "train", True),),
        "https://image-net.org/download-images.php",
        "research, not commercial",
        (
            "Register at https://image-net.org/download-images.php and accept its terms.",
            "Fetch ILSVRC2012_img_train.tar, 138 GB: Training images (Task 1 & 2) of ILSVRC 2012.",
            "Put it into {archives}; as much space again is needed for what it unpacks to.",
        ),
    ),
}


def published(archive: Archive) -> str | None:
    """The archive's MD5 as torchvision has it, "md5:…", or None."""
    if archive.torchvision == "imagenette":
        from torchvision.datasets import Imagenette

        return f"md5:{Imagenette._ARCHIVES['160px'][1]}"
    if archive.torchvision == "imagenet":
        from torchvision.datasets.imagenet import ARCHIVE_META

        return f"md5:{ARCHIVE_META['train'][1]}"
    return None
