"""Files of pictures, written sample by sample as PNG and TIFF are specified."""

import struct
import zlib


def chunk(kind, content):
    check = zlib.crc32(kind + content).to_bytes(4, "big")
    return struct.pack(">I", len(content)) + kind + content + check


def packed(samples, bits, order=">"):
    """Write integers, (H, W, C), row by row; each row fills whole bytes."""
    if bits >= 8 and bits % 8 == 0:
        return samples.astype(f"{order}u{bits // 8}").tobytes()
    rows = []
    for row in samples.reshape(len(samples), -1):
        digits = "".join(f"{value:0{bits}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        rows.append(int(digits, 2).to_bytes(len(digits) // 8, "big"))
    return b"".join(rows)


def png(colour, bits, samples, palette=None, clear=None):
    """Write a PNG: colour 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA."""
    height, width, _ = samples.shape
    rows = [b"\0" + packed(row[None], bits) for row in samples]
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    content = chunk(b"IHDR", head)
    if palette is not None:
        content += chunk(b"PLTE", palette.astype("u1").tobytes())
    if clear is not None:
        content += chunk(b"tRNS", clear)
    content += chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def tiff(order, photometric, bits, samples, extra=None, palette=None):
    """Write a TIFF; floats if the samples are. Order is "<" or ">"."""
    height, width, channels = samples.shape
    if samples.dtype.kind == "f":
        data = samples.astype(f"{order}f{bits // 8}").tobytes()
    else:
        data = packed(samples, bits, order)
    tags = {  # tag: of 2 bytes or 4, values
        256: (2, [width]),
        257: (2, [height]),
        258: (2, [bits] * channels),
        259: (2, [1]),
        262: (2, [photometric]),
        273: (4, [0]),  # where the samples begin: filled in below
        277: (2, [channels]),
        278: (2, [height]),
        279: (4, [len(data)]),
        339: (2, [3 if samples.dtype.kind == "f" else 1] * channels),
    }
    if palette is not None:
        tags[320] = 2, (palette.T * 257).ravel().tolist()
    if extra is not None:
        tags[338] = 2, [extra]
    start = 8 + 2 + 12 * len(tags) + 4
    long = {tag: size * len(v) for tag, (size, v) in tags.items() if size * len(v) > 4}
    tags[273] = 4, [start + sum(long.values())]
    table, values = struct.pack(f"{order}H", len(tags)), b""
    for tag, (size, numbers) in sorted(tags.items()):
        kind = {2: "H", 4: "I"}[size]
        content = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        table += struct.pack(f"{order}HHI", tag, size // 2 + 2, len(numbers))
        if tag in long:
            table += struct.pack(f"{order}I", start + len(values))
            values += content
        else:
            table += content.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return head + table + bytes(4) + values + data
