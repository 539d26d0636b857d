// What is open and chosen, read from the address; and one small way to load things for a view.
import { untrack } from 'svelte'
import { address, go } from './address.svelte.js'
import { fresh, get } from './api.js'
import { spec } from './variant.js'

export const open = $state({ places: [], first: '', version: '', failed: '', ready: false, pictureless: false })

export async function loadPlaces() {
  try {
    const found = await fresh('places')
    Object.assign(open, found, { ready: true, failed: '' })
  } catch (error) {
    Object.assign(open, { failed: error.message, ready: true })
  }
}

export const models = () => open.places.filter((p) => p.has_model)
export const runs = () => open.places.filter((p) => p.kind === 'run')
export const dataSets = () => open.places.filter((p) => p.kind === 'data')
export const place = (id) => open.places.find((p) => p.id === id)

/** The model of the address, else the first that can be opened. */
export function modelId() {
  const asked = address.params.model
  return asked && place(asked) ? asked : (models().find((p) => p.id === open.first) ?? models()[0])?.id ?? ''
}

/** The model of the address with its epoch and its changes, as the server takes it. */
export const modelSpec = () => spec(modelId(), address.params)

export function dataId() {
  const asked = address.params.data
  return asked && place(asked) ? asked : (dataSets()[0] ?? runs()[0])?.id ?? ''
}

/** A picture to begin with: one that the run kept, else the first of the data. */
export async function firstPicture() {
  const model = place(modelId())
  for (const source of [model?.kind === 'run' ? model : null, ...dataSets()].filter(Boolean)) {
    let found
    try {
      found = await get('pictures', { place: source.id, count: 60 })
    } catch {
      continue // the dialog says why when this source is chosen there
    }
    const right = found.rows.find((r) => r.says && r.says === r.truth) ?? found.rows[0]
    if (right) return right.id
  }
  return ''
}

export async function ensurePicture() {
  if (address.params.picture) return address.params.picture
  const id = await firstPicture()
  open.pictureless = !id
  if (id) go(address.view, { picture: id }, { replace: true })
  return id
}

/** Loading, done or failed: {value, error, busy}, and of what it is. A newer question replaces an older one; the old value stays meanwhile. */
export function loader() {
  let state = $state.raw({ value: null, of: '', error: '', busy: false })
  let turn = 0
  return {
    get value() { return state.value },
    get of() { return state.of },
    get error() { return state.error },
    get busy() { return state.busy },
    clear() { turn++; state = { value: null, of: '', error: '', busy: false } },
    async load(promise, of = '') {
      const mine = ++turn
      state = { ...untrack(() => state), busy: true }
      try {
        const value = await promise
        if (mine === turn) state = { value, of, error: '', busy: false }
      } catch (error) {
        if (mine === turn) state = { ...untrack(() => state), error: error.message, busy: false }
      }
    },
  }
}

export const theme = $state({ dark: false, turn: 0 })

export function setTheme(dark) {
  theme.dark = dark
  theme.turn = untrack(() => theme.turn) + 1
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
}

/** The page's colours and fonts for canvases. */
export function look() {
  const style = getComputedStyle(document.documentElement)
  const colour = (name) => style.getPropertyValue(name).trim()
  const family = getComputedStyle(document.body).fontFamily
  return {
    ratio: Math.max(1, Math.min(3, devicePixelRatio || 1)),
    font: `11px ${family}`,
    bold: `600 11px ${family}`,
    ink: colour('--ink'),
    second: colour('--ink-2'),
    third: colour('--ink-3'),
    accent: colour('--accent'),
    for: colour('--for'),
    against: colour('--against'),
  }
}
