// The plan's form, made from its JSON schema: groups of fields, each with its kind, range and words.

const TITLES = {
  network: 'Network', training: 'Training', data: 'Data and split', head: 'Pretrained network', schedule: 'Learning rate over time',
  stopping: 'When to stop', augment: 'Random changes', saving: 'Saving',
}
export const BASIC = ['model', 'epochs', 'head_epochs', 'batch_size', 'learning_rate', 'image_size', 'seed']

/** {kind: 'choice'|'flag'|'whole'|'number'|'list'|'text', choices, min, max, optional} from one property. */
export function field(name, property, value) {
  const options = property.anyOf ?? [property]
  const real = options.filter((o) => o.type !== 'null')
  const one = real.find((o) => o.type === 'integer' || o.type === 'number' || o.enum) ?? real[0] ?? {}
  const optional = options.some((o) => o.type === 'null')
  const min = one.minimum ?? one.exclusiveMinimum, max = one.maximum ?? one.exclusiveMaximum
  const kind = one.enum ? 'choice' : one.type === 'boolean' ? 'flag' : one.type === 'integer' ? 'whole' : one.type === 'number' ? 'number' : one.type === 'array' ? 'list' : 'text'
  return { name, kind, choices: one.enum ?? [], min, max, optional, words: property.description ?? '', value, group: property.group ?? 'training' }
}

export function form({ schema, defaults }) {
  const fields = []
  for (const [name, property] of Object.entries(schema.properties)) {
    if (['augment', 'folds', 'value_range', 'leave_out'].includes(name)) continue
    fields.push(field(name, property, defaults[name]))
  }
  const inner = schema.$defs?.Augmentation?.properties ?? {}
  for (const [name, property] of Object.entries(inner)) {
    fields.push({ ...field(name, property, defaults.augment?.[name]), group: 'augment', path: ['augment', name] })
  }
  const groups = new Map()
  for (const f of fields) {
    const group = BASIC.includes(f.name) && !f.path ? 'basic' : f.group
    if (!groups.has(group)) groups.set(group, [])
    groups.get(group).push(f)
  }
  groups.get('basic')?.sort((a, b) => BASIC.indexOf(a.name) - BASIC.indexOf(b.name))
  return [...groups].map(([group, list]) => ({ group, title: group === 'basic' ? 'First choices' : TITLES[group] ?? group[0].toUpperCase() + group.slice(1), fields: list })).sort((a, b) => (b.group === 'basic') - (a.group === 'basic'))
}

/** What the person typed as the plan takes it; undefined where it is left as it was. */
export function read(f, text) {
  if (text === undefined || text === '' || text === null) return f.optional && text === '' ? undefined : undefined
  if (f.kind === 'flag') return Boolean(text)
  if (f.kind === 'choice') return f.choices.find((c) => String(c) === String(text)) ?? text // a number stays one
  if (f.kind === 'whole' || f.kind === 'number') {
    const value = Number(text)
    return Number.isFinite(value) ? value : text
  }
  if (f.kind === 'list') return String(text).split(/[ ,]+/).filter(Boolean).map((part) => (Number.isFinite(Number(part)) ? Number(part) : part))
  return text
}

/** Only the choices that differ from the defaults: the plan file then says what was chosen, and nothing else. */
export function changes(groups, typed) {
  const found = {}
  for (const { fields } of groups) {
    for (const f of fields) {
      const key = f.path ? f.path.join('.') : f.name
      const value = read(f, typed[key])
      if (value === undefined || JSON.stringify(value) === JSON.stringify(f.value)) continue
      if (f.path) (found[f.path[0]] ??= {})[f.path[1]] = value
      else found[f.name] = value
    }
  }
  return found
}

export const label = (name) => name.replaceAll('_', ' ')

/** The history with one more event of the journal laid on: a repeated epoch counts as it ran last. */
export function withEpoch(history, event) {
  if (event.event !== 'epoch') return history
  const row = Object.fromEntries(Object.entries(event).filter(([k]) => !['event', 'step', 'time', 'clock_s'].includes(k)))
  return [...history.filter((r) => r.epoch !== row.epoch), row].sort((a, b) => a.epoch - b.epoch)
}

/** Pairs of curves to draw: training and validation of the same metric, the loss first. */
export function metrics(history) {
  const names = new Set()
  for (const row of history) for (const key of Object.keys(row)) if (!['epoch', 'phase', 'seconds', 'learning_rate'].includes(key) && typeof row[key] === 'number') names.add(key.replace(/^val_/, ''))
  return [...names].sort((a, b) => (b === 'loss') - (a === 'loss') || (b === 'accuracy') - (a === 'accuracy'))
}
