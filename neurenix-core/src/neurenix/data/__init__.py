"""Datasets, the reading of photos and texts, transforms, and batches of samples."""

from __future__ import annotations

from neurenix.data import transforms
from neurenix.data.collate import default_collate
from neurenix.data.dataset import Dataset, Subset
from neurenix.data.draws import current_generator, drawing_from
from neurenix.data.image_folder import ImageFolder
from neurenix.data.loader import DataLoader
from neurenix.data.photo_files import (
    PhotoFolderError,
    PhotoScan,
    find_broken,
    find_copies,
    group_identical,
    photo_digest,
    photos_digest,
    scan_photos,
)
from neurenix.data.photos import PHOTO_EXTENSIONS, PhotoError, is_photo, read_photo
from neurenix.data.split import random_split, stratified_indices, stratified_split
from neurenix.data.text import (
    TextDataset,
    TextFileError,
    Texts,
    Tokenizer,
    TokenizerError,
    group_alike,
    read_texts,
    texts_digest,
)

__all__ = [
    "PHOTO_EXTENSIONS",
    "DataLoader",
    "Dataset",
    "ImageFolder",
    "PhotoError",
    "PhotoFolderError",
    "PhotoScan",
    "Subset",
    "TextDataset",
    "TextFileError",
    "Texts",
    "Tokenizer",
    "TokenizerError",
    "current_generator",
    "default_collate",
    "drawing_from",
    "find_broken",
    "find_copies",
    "group_alike",
    "group_identical",
    "is_photo",
    "photo_digest",
    "photos_digest",
    "random_split",
    "read_photo",
    "read_texts",
    "scan_photos",
    "stratified_indices",
    "stratified_split",
    "texts_digest",
    "transforms",
]
