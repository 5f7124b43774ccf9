"""The size that a classic NetCDF file must have.

The NetCDF library reads the missing part of a truncated classic file as zeros without an error (measured with
netCDF4 1.7: half a file of temperatures opens and reads), so the header is read here and the size is checked.
Layout: NetCDF User Guide, "File Format Specifications", CDF-1, CDF-2 and CDF-5.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

TYPE_SIZE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
STREAMING = {4: 0xFFFFFFFF, 8: 0xFFFFFFFFFFFFFFFF}


def expected_size(path: Path) -> int | None:
    """Bytes that the header of a classic file asks for; None if it is no classic file or was never closed.

    Raises
    ------
    EOFError
        If the header itself is cut off.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic[:3] != b"CDF" or magic[3] not in (1, 2, 5):
            return None
        return _Header(file, magic[3]).size()


class _Header:
    """Reader of the header's fields, in the widths of one version of the format."""

    def __init__(self, file: BinaryIO, version: int) -> None:
        self.file = file
        self.count = 8 if version == 5 else 4
        self.offset = 4 if version == 1 else 8

    def take(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) < size:
            raise EOFError("its header is cut off")
        return data

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def skip_name(self) -> None:
        self.take(_padded(self.integer(self.count)))

    def items(self) -> int:
        self.take(4)  # tag
        return self.integer(self.count)

    def skip_attributes(self) -> None:
        for _ in range(self.items()):
            self.skip_name()
            kind = self.integer(4)
            self.take(_padded(self.integer(self.count) * TYPE_SIZE[kind]))

    def size(self) -> int | None:
        records = self.integer(self.count)
        if records == STREAMING[self.count]:
            return None
        lengths = []
        for _ in range(self.items()):
            self.skip_name()
            lengths.append(self.integer(self.count))
        self.skip_attributes()
        end = self.file.tell()
        fixed: list[tuple[int, int]] = []
        recorded: list[tuple[int, int]] = []
        for _ in range(self.items()):
            self.skip_name()
            dims = [self.integer(self.count) for _ in range(self.integer(self.count))]
            self.skip_attributes()
            width = TYPE_SIZE[self.integer(4)]
            self.take(self.count)  # vsize: overflows for large variables, so it is computed here
            begin = struct.unpack(">I" if self.offset == 4 else ">Q", self.take(self.offset))[0]
            is_record = bool(dims) and lengths[dims[0]] == 0
            bytes_ = width * math.prod(lengths[d] for d in (dims[1:] if is_record else dims))
            (recorded if is_record else fixed).append((begin, bytes_))
        end = max([end, *(begin + size for begin, size in fixed)])
        if records and recorded:
            step = recorded[0][1] if len(recorded) == 1 else sum(_padded(size) for _, size in recorded)
            end = max(end, *(begin + (records - 1) * step + size for begin, size in recorded))
        return end


def _padded(size: int) -> int:
    return size + (-size) % 4
