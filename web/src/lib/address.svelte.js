// The address holds everything that a view needs: "#/maps?model=..&layer=..&at=3,4" opens it again anywhere.

export const VIEWS = ['data', 'train', 'network', 'maps', 'number', 'filters', 'explain', 'lessons']

export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?')
  const params = Object.fromEntries(new URLSearchParams(query))
  return { view: VIEWS.includes(path) ? path : '', params }
}

export function format(view, params) {
  const kept = Object.entries(params).filter(([, value]) => value !== '' && value !== undefined && value !== null)
  const query = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString()
  return `#/${view}${query ? `?${query}` : ''}`
}

const start = typeof location === 'undefined' ? { view: '', params: {} } : parse(location.hash)
export const address = $state(start)

/** Go to a view; `change` is laid over the present parameters. With `replace` the step does not enter the history. */
export function go(view, change = {}, { replace = false } = {}) {
  const params = { ...address.params, ...change }
  const hash = format(view, params)
  if (hash === location.hash) return
  if (replace) history.replaceState(null, '', hash)
  else history.pushState(null, '', hash)
  Object.assign(address, parse(hash))
}

/** The address of a view, for links. */
export function to(view, change = {}) {
  return format(view, { ...address.params, ...change })
}

export function listen() {
  const read = () => Object.assign(address, parse(location.hash))
  addEventListener('popstate', read)
  addEventListener('hashchange', read)
  return () => {
    removeEventListener('popstate', read)
    removeEventListener('hashchange', read)
  }
}
