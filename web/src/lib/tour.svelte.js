// The lesson that is being taken: which one, which step. It lives in the address, like everything else.
import { address, go } from './address.svelte.js'
import { get } from './api.js'
import { LESSONS } from './lessons.js'
import { modelId } from './open.svelte.js'

const CLEAN = { pins: '', with: '' }

export const lesson = {
  get now() {
    const [name, number] = (address.params.lesson ?? '').split('.')
    const one = LESSONS.find((l) => l.name === name)
    return one ? { one, step: Math.max(0, Math.min(one.steps.length - 1, Number(number) || 0)) } : null
  },
  begin: (one) => show(one, 0),
  step: (by) => { const { one, step } = lesson.now; show(one, step + by) },
  end: () => go('lessons', { lesson: '' }),
}

async function show(one, step) {
  const model = modelId()
  const rows = model ? (await get('network', { model })).rows : []
  const [view, change] = one.steps[step].go(rows)
  go(view, { ...CLEAN, ...change, lesson: `${one.name}.${step}` })
}
