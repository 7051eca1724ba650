// A mask in the page: one byte for each pixel, row by row, 255 where all is painted.

// Paint, or erase, a stroke: what is no farther from the line between two points than
// the radius. Going over a place twice changes nothing.
function cover(mask, width, height, [x0, y0], [x1, y1], { erase, size, soft }) {
  const radius = size / 2, edge = Math.max(1, (radius * soft) / 100);
  const [dx, dy] = [x1 - x0, y1 - y0], square = dx * dx + dy * dy || 1;
  const first = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - radius));
  const last = (a, b, side) => Math.min(side, Math.max(a, b) + radius);
  for (let y = first(y0, y1); y < last(y0, y1, height); y++)
    for (let x = first(x0, x1); x < last(x0, x1, width); x++) {
      const [px, py] = [x + 0.5 - x0, y + 0.5 - y0], i = y * width + x;
      const along = Math.min(1, Math.max(0, (px * dx + py * dy) / square));
      const inside = radius - Math.hypot(px - along * dx, py - along * dy);
      const value = 255 * Math.min(1, Math.max(0, inside / edge));
      mask[i] = erase ? Math.min(mask[i], 255 - value) : Math.max(mask[i], value);
    }
}

// Say how much is painted.
function describe(mask) {
  const share = (100 * mask.reduce((sum, value) => sum + value, 0)) / 255 / mask.length;
  if (!share) return "Nothing painted yet: drag over the photo";
  const percent = share < 1 ? "less than 1" : Math.round(share);
  return `Region painted: ${percent} % of the photo`;
}

// Read the lightness of a picture, brought to a size; what is transparent is dark.
async function read(blob, width, height) {
  const picture = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return new Uint8ClampedArray(width * height).map((_, i) => {
    const [red, green, blue] = data.subarray(4 * i);
    return 0.299 * red + 0.587 * green + 0.114 * blue;
  });
}

// Write a grey PNG; browsers themselves only write coloured ones.
async function encode(mask, width, height) {
  const rows = new Uint8Array((width + 1) * height); // each begins with 0: no filter
  mask.forEach((value, i) => (rows[i + Math.floor(i / width) + 1] = value));
  const deflate = new CompressionStream("deflate");
  const packed = new Response(new Blob([rows]).stream().pipeThrough(deflate));
  const data = new Uint8Array(await packed.arrayBuffer());
  const head = [...bytes(width), ...bytes(height), 8, 0, 0, 0, 0];
  const chunks = [["IHDR", head], ["IDAT", data], ["IEND", []]].flatMap(chunk);
  return new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, ...chunks]).buffer;
}

function chunk([name, content]) {
  const body = [...new TextEncoder().encode(name), ...content];
  let sum = -1; // CRC-32
  for (const byte of body) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 && 0xedb88320);
  }
  return [...bytes(content.length), ...body, ...bytes(~sum)];
}

function bytes(number) {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255);
}
