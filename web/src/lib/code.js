// The Python lines that make a view again: the same run, the same epoch, the same changed numbers.
import { parseEdits } from './variant.js'

const text = (words) => JSON.stringify(String(words))

/** A picture by the name that it has below its folder. */
export const pictureLine = (label) => `picture = ${text(label || 'PICTURE')}  # where this picture lies`

/** Lines that leave `scope`: a run or a model by its name, as it was after an epoch, with the numbers of `params` set. */
export function scopeLines(name, { epoch = '', init = '', edits = '' } = {}) {
  const changed = parseEdits(edits)
  const lines = ['import convscope']
  const verbs = [init && 'draw_anew', changed.length && 'change_kernels'].filter(Boolean)
  if (verbs.length) lines.push(`from convscope.actions.changed import ${[...(changed.length ? ['KernelValue'] : []), ...verbs.sort()].join(', ')}`)
  if (epoch !== '') lines.push('from convscope.actions.epochs import model_of_epoch')
  lines.push('', `scope = convscope.Scope(${epoch === '' ? text(name) : `model_of_epoch(${text(name)}, ${Number(epoch)})`})`)
  if (init) lines.push(`draw_anew(scope.model, ${text(init)})`)
  if (changed.length) {
    lines.push('change_kernels(scope.model, [')
    for (const e of changed) lines.push(`    KernelValue(${text(e.layer)}, ${e.channel}, ${e.cell}, ${e.value}${e.part ? `, ${text(e.part)}` : ''}),`)
    lines.push('])')
  }
  return lines.join('\n')
}

/** Lines that explain one picture by several methods. */
export function explainLines(name, label, methods, { params = {}, target = '', layer = '' } = {}) {
  const asked = [target === '' ? '' : `, target=${Number(target)}`, layer ? `, layer=${text(layer)}` : ''].join('')
  const lines = methods.map((m) => `convscope.explain(scope, picture, method=${text(m)}${asked}).save("explained")`)
  return [scopeLines(name, params), pictureLine(label), ...lines].join('\n')
}
