// The layers as a tree: nested models by their path, flat names by what they begin with ("block1_conv", "block1_bn").

function groupOf(row, rows, i) {
  if (row.within) return row.within
  const path = row.name.split('/')
  if (path.length > 1) return path.slice(0, -1).join('/')
  const stem = stemOf(row.name)
  if (!stem) return ''
  const near = [rows[i - 1], rows[i + 1]].filter(Boolean)
  return near.some((other) => stemOf(other.name) === stem) ? stem : ''
}

export function stemOf(name) {
  const parts = name.split('_')
  for (let n = 1; n < parts.length; n++) if (/\d$/.test(parts[n - 1])) return parts.slice(0, n).join('_')
  return parts.length > 1 ? parts[0] : ''
}

/** Rows in order, with a head before each group: {head, name, rows} or {row}. `stages` names the rows at which the resolution changes. */
export function tree(rows) {
  const found = []
  let size = ''
  rows.forEach((row, i) => {
    const group = groupOf(row, rows, i)
    const here = row.shape.length === 3 ? `${row.shape[0]}×${row.shape[1]}` : row.shape.length ? 'flat' : size
    const isStage = here !== size && size !== ''
    size = here
    const last = found.at(-1)
    if (group && last?.group === group) last.rows.push(row)
    else found.push({ group, rows: [row], stages: [] })
    if (isStage) found.at(-1).stages.push(row.name)
  })
  return found.map((part) => {
    if (!part.group || part.rows.length < 2) return { ...part, group: '' }
    const last = part.rows.at(-1)
    return {
      ...part,
      shape: last.shape,
      parameters: part.rows.reduce((sum, r) => sum + (r.parameters ?? 0), 0),
      macs: part.rows.reduce((sum, r) => sum + (r.macs ?? 0), 0),
      field: last.field,
      skip: part.rows.some((r) => ['Add', 'Concatenate', 'Multiply'].includes(r.kind) && r.inputs.length > 1),
    }
  })
}

/** The layer that is opened first: after the first activation, else the first with maps. */
export function firstLayer(rows) {
  const spatial = rows.filter((r) => r.has_maps && r.shape.length === 3)
  return (spatial.find((r) => /ReLU|Activation/.test(r.kind) || (r.activation && /Conv/.test(r.kind))) ?? spatial.find((r) => /Conv/.test(r.kind)) ?? spatial[0] ?? rows[0])?.name ?? ''
}

/** Arcs beside the list for inputs that are not the row just before: {from, to, lane}. */
export function arcs(rows) {
  const place = new Map(rows.map((r, i) => [r.name, i]))
  const found = []
  rows.forEach((row, to) => {
    for (const input of row.inputs) {
      const from = place.get(input)
      if (from !== undefined && to - from > 1) found.push({ from, to })
    }
  })
  const lanes = []
  for (const arc of found.sort((a, b) => a.to - a.from - (b.to - b.from))) {
    let lane = 0
    while (lanes[lane]?.some((other) => other.from < arc.to && arc.from < other.to)) lane++
    ;(lanes[lane] ??= []).push(arc)
    arc.lane = lane
  }
  return found
}
