// Two runs beside each other: which choices differ, and how each ended.

const text = (v) => (v !== null && typeof v === 'object' ? JSON.stringify(v) : v)

/** Fields of two plans that differ: {name, values}. */
export function differences(a = {}, b = {}) {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])]
  return names.filter((n) => JSON.stringify(a[n] ?? null) !== JSON.stringify(b[n] ?? null)).flatMap((name) => {
    const inner = [a[name], b[name]]
    if (inner.every((v) => v && typeof v === 'object' && !Array.isArray(v))) return differences(...inner).map((d) => ({ ...d, name: `${name}.${d.name}` }))
    return [{ name, values: inner.map((v) => text(v) ?? null) }]
  })
}

function best(rows, key, rising) {
  const values = rows.map((r) => r[key]).filter((v) => typeof v === 'number')
  return values.length ? (rising ? Math.max : Math.min)(...values) : null
}

/** Rows of what came of two runs: {name, values, share, better} with the number of the better run, or -1. */
export function outcomes(a, b) {
  const row = (name, of, { share = false, rising = null } = {}) => {
    const values = [of(a), of(b)]
    const known = values.every((v) => typeof v === 'number') && values[0] !== values[1] && rising !== null
    return { name, values, share, better: known ? Number(values[1] > values[0] === rising) : -1 }
  }
  const seconds = (run) => (run.history.length ? run.history.reduce((sum, r) => sum + (r.seconds ?? 0), 0) : null) // nothing done is not quick
  const score = (run) => run.scores?.values?.[run.scores.headline]?.value ?? null
  return [
    row('epochs', (r) => r.history.length),
    row('lowest validation loss', (r) => best(r.history, 'val_loss', false), { rising: false }),
    row('highest validation accuracy', (r) => best(r.history, 'val_accuracy', true), { rising: true, share: true }),
    row(`${(a.scores ?? b.scores)?.headline?.replaceAll('_', ' ') ?? 'score'}, kept-back pictures`, score, { rising: true, share: true }),
    row('training time, s', seconds, { rising: false }),
    row('parameters', (r) => r.start?.parameters ?? null),
  ].filter((r) => r.values.some((v) => v !== null))
}
