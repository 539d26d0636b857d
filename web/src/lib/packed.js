// The binary answers: a JSON head and arrays, used where they lie (see studio/packing.py).

const KINDS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array }

export function unpack(buffer) {
  const bytes = new DataView(buffer)
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4))
  if (magic !== 'CVS1') throw new Error(`expected an answer that begins with CVS1, got ${magic}`)
  const length = bytes.getUint32(4, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)))
  const arrays = {}
  for (const { name, dtype, shape, offset } of head.arrays) {
    const count = shape.reduce((a, b) => a * b, 1)
    arrays[name] = { data: new KINDS[dtype](buffer, 8 + length + offset, count), shape }
  }
  delete head.arrays
  return { ...head, ...arrays }
}
