// Asking the server: every answer is kept while its question stays the same; every failure is one sentence.
import { unpack } from './packed.js'

export class Told extends Error {}

const kept = new Map()
const MOST = 60

export function query(path, params = {}) {
  const search = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== '' && v !== undefined && v !== null))
  return `api/${path}${[...search].length ? `?${search}` : ''}`
}

async function read(response, binary) {
  if (response.ok) return binary ? unpack(await response.arrayBuffer()) : response.json()
  let words = await response.text()
  try {
    const { error, detail } = JSON.parse(words)
    words = error ?? (Array.isArray(detail) ? detail.map((d) => `${d.loc?.at(-1)}: ${d.msg}`).join('; ') : String(detail))
  } catch {
    // plain words
  }
  throw new Told(words || `the studio answered ${response.status}; look at the terminal where it runs`)
}

async function ask(url, binary, options) {
  let response
  try {
    response = await fetch(url, options)
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Told('The studio does not answer: it was stopped. Start it again with convscope studio; trainings go on without it.')
  }
  return read(response, binary)
}

function remembered(url, binary) {
  if (kept.has(url)) {
    const found = kept.get(url)
    kept.delete(url)
    kept.set(url, found)
    return found
  }
  const answer = ask(url, binary)
  kept.set(url, answer)
  answer.catch(() => kept.delete(url))
  if (kept.size > MOST) kept.delete(kept.keys().next().value)
  return answer
}

export const get = (path, params) => remembered(query(path, params), false)
export const getPacked = (path, params) => remembered(query(path, params), true)
export const fresh = (path, params) => ask(query(path, params), false)
export const freshPacked = (path, params) => ask(query(path, params), true)
export const forget = () => kept.clear()

export function post(path, body) {
  const headers = { 'x-convscope': '1', 'content-type': 'application/json' }
  return ask(`api/${path}`, false, { method: 'POST', headers, body: JSON.stringify(body) })
}

export async function upload(blob) {
  const headers = { 'x-convscope': '1', 'content-type': 'application/octet-stream' }
  return (await ask('api/pictures', false, { method: 'POST', headers, body: blob })).id
}
