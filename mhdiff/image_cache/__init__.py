"""What readers make of image files, kept on disk for other epochs, runs and processes: `data.image_cache`.

    DIR/CACHEDIR.TAG        says that all of this can be made again, to us and to programs that make backups
    DIR/files/ab/<hash>     the content that a file at a place had when it was last changed: SHA-256 of its bytes
    DIR/<maker>/reader.json a reader with its settings, the code and the versions behind it
    DIR/<maker>/ab/<hash>   what that reader made of such a content
    DIR/new/                files that are being written

Two names decide. The content of a file: the bytes themselves, so that a copy of the cohort, or two images that are the
same, share an entry. And the maker, see `mhdiff.image_cache.maker`. No name holds a part of an image's path.
"""
