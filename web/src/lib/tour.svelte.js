// The lesson that is being taken: which one, which step, and whether its action was done. The place is in the address.
import { address, go } from './address.svelte.js'
import { get, getPacked } from './api.js'
import { done } from './done.svelte.js'
import { LESSONS } from './lessons.js'
import { firstPicture, modelId } from './open.svelte.js'

const CLEAN = { pins: '', with: '', beside: '', edits: '', epoch: '', init: '', target: '', at: '', channel: '' }

// where the step began: the counts and the address, and whether it was done once
export const step = $state({ key: '', counts: {}, then: {}, isDone: false })

export const lesson = {
  get now() {
    const [name, number] = (address.params.lesson ?? '').split('.')
    const one = LESSONS.find((l) => l.name === name)
    return one ? { one, step: Math.max(0, Math.min(one.steps.length - 1, Number(number) || 0)) } : null
  },
  begin: (one) => show(one, 0),
  step: (by) => { const { one, step: at } = lesson.now; show(one, at + by) },
  end: () => go('lessons', { ...CLEAN, lesson: '' }),
}

export const here = () => ({ ...address.params, view: address.view })

/** What was done since the step began. */
export function since(counts, now) {
  return Object.fromEntries(Object.entries(now).map(([what, n]) => [what, n - (counts[what] ?? 0)]))
}

/** Look whether the step's action has been done; once done it stays so. */
export function check() {
  const at = lesson.now
  if (!at) return
  const key = address.params.lesson
  if (step.key !== key) Object.assign(step, { key, counts: { ...done }, then: here(), isDone: false })
  if (!step.isDone && at.one.steps[at.step].does(since(step.counts, done), here(), step.then)) step.isDone = true
}

async function show(one, number) {
  const model = modelId()
  const rows = model ? (await get('network', { model })).rows : []
  const [view, change] = one.steps[number].go(rows)
  if (one.steps[number].brightest && rows.length) Object.assign(change, await brightest(model, change.layer))
  const kept = Object.fromEntries((one.steps[number].keeps ?? []).map((k) => [k, address.params[k] ?? '']))
  go(view, { ...CLEAN, ...kept, ...change, lesson: `${one.name}.${number}` })
  Object.assign(step, { key: address.params.lesson, counts: { ...done }, then: here(), isDone: false })
}

/** The place of the largest value of the map that ranks first; nothing where there are no maps, or no picture. */
async function brightest(model, layer) {
  const picture = address.params.picture || (await firstPicture())
  if (!picture || !layer) return {}
  try {
    const { steps, order } = await getPacked('maps', { model, picture, layer, rank: 'activation', steps: 1 })
    const [, height, width] = steps.shape
    const channel = order.data[0]
    const values = steps.data.subarray(channel * height * width, (channel + 1) * height * width)
    const best = values.reduce((found, v, i) => (v > values[found] ? i : found), 0)
    return { channel, at: `${Math.floor(best / width)},${best % width}` }
  } catch {
    return {} // the view that opens says what is wrong
  }
}
