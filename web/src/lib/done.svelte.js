// What the person has done, for the lessons: each view says it where it happens.

export const done = $state({})

export const did = (what) => { done[what] = (done[what] ?? 0) + 1 }
