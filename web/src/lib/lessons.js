// Six short tours on one's own model and pictures. Each step opens a place, asks for one action there, and sees it done.
//
// A step: words (what to see), ask (what to do), go(rows) -> [view, parameters], does(done, now, then) -> true when it was
// done: `done` counts what the views told (lib/done.svelte.js) since the step began, `now` and `then` are the address.
// `keeps`: parameters that stay; `brightest`: begin at the largest value of the map that ranks first; `sight`: what to scroll to.

const spatial = (rows) => rows.filter((r) => r.shape.length === 3 && r.has_maps)
const nth = (list, share) => list[Math.min(list.length - 1, Math.floor(share * list.length))]?.name ?? ''
const conv = (rows, share = 0) => nth(spatial(rows).filter((r) => /Conv/.test(r.kind)), share)
const bent = (rows, share = 0) => nth(spatial(rows).filter((r) => /ReLU|Activation/.test(r.kind) || (r.activation && /Conv/.test(r.kind))), share) || conv(rows, share)
// a convolution whose values are still as the sum left them
const straight = (rows) => nth(spatial(rows).filter((r) => /Conv/.test(r.kind) && !r.activation), 0) || conv(rows)
const pool = (rows) => nth(spatial(rows).filter((r) => /Pool/.test(r.kind)), 0) || conv(rows, 0.5)
const middle = (rows, name) => { const row = rows.find((r) => r.name === name); return row?.shape.length === 3 ? `${row.shape[0] >> 1},${row.shape[1] >> 1}` : '' }

const told = (what, times = 1) => (done) => (done[what] ?? 0) >= times
const seen = (view) => (done, now) => now.view === view

export const LESSONS = [
  { name: 'conv2d', title: 'How Conv2D works', words: 'One small grid of numbers slides over the picture.', steps: [
    { words: 'One value of the first convolution. Left: the patch that it sees. Each number is multiplied by the number of the kernel at the same place; all products are added: the black bar.', ask: 'Click a product to outline it everywhere, or a patch number to follow it back.', go: (r) => ['number', { layer: conv(r), channel: 0, at: middle(r, conv(r)) }], does: (done, now, then) => (done['factor followed'] ?? 0) > 0 || (done['product chosen'] ?? 0) > 0 || now.layer !== then.layer },
    { words: 'The patch slides over the picture, the kernel stays the same. That one kernel, asked everywhere, makes one map.', ask: 'Press space, or “Play the slide”, and let it take five steps.', go: (r) => ['number', { layer: conv(r), channel: 0, at: middle(r, conv(r)) }], does: told('slide', 5) },
    { words: 'The kernel is only numbers. Change them, and the network computes something else; the saved model stays as it is.', ask: 'Press “Change numbers” and set the filter to “upright edges”.', go: (r) => ['number', { layer: conv(r), channel: 0, at: middle(r, conv(r)) }], does: told('kernel changed') },
    { words: 'The map of the kernel that you made, first, and the saved one beside it. Where does yours answer?', ask: 'Move the pointer over the map of channel 0, or tap it: the same place lights up in both.', go: (r) => ['maps', { layer: conv(r), rank: 'index', channel: 0, at: '', beside: 'saved' }], keeps: ['edits'], sight: '.sheet', does: (done) => told('map hovered', 3)(done) || told('map clicked')(done) },
    { words: 'These are all kernels of this layer, as they were learned.', ask: 'Choose one, then open its map. Does it answer where you would expect?', go: (r) => ['filters', { layer: conv(r) }], does: (done, now) => (done['filter chosen'] ?? 0) > 0 || now.view === 'maps' } ] },
  { name: 'stride', title: 'Stride, padding and pooling', words: 'Why maps shrink, and what happens at the edge.', steps: [
    { words: 'The value in the corner. Striped cells lie outside the picture: with padding they count as zero.', ask: 'Go right and down with the arrow keys (or ‹ › under “Slide the patch”) until no cell is striped.', go: (r) => ['number', { layer: conv(r), at: '0,0', channel: 0 }], does: (done, now) => { const [a, b] = (now.at ?? '').split(',').map(Number); return a > 0 && b > 0 } },
    { words: 'A pooling layer multiplies nothing: it keeps the largest (or the mean) of a few neighbours.', ask: 'Find the value that won, and click it to follow it back.', go: (r) => ['number', { layer: pool(r), at: middle(r, pool(r)), channel: 0 }], brightest: true, does: (done, now, then) => (done['factor followed'] ?? 0) > 0 || now.layer !== then.layer },
    { words: 'Column Output, from top to bottom: each line marks where the maps shrink. Field px grows at the same time: fewer values, each sees more.', ask: 'Click the last layer that still has height and width.', go: () => ['network', {}], does: seen('maps') } ] },
  { name: 'activations', title: 'What activations do', words: 'Bend the numbers, or everything stays one straight line.', steps: [
    { words: 'Before the activation: values above and below zero, red and blue.', ask: 'Click a blue place of a map: a value below zero.', go: (r) => ['maps', { layer: straight(r), rank: 'index', at: '', channel: '' }], sight: '.sheet', does: told('low place clicked') },
    { words: 'After it: what was below zero is gone. Maps that are zero everywhere for this picture are counted above.', ask: 'Point at (or tap) three places that are dark now.', go: (r) => ['maps', { layer: bent(r), rank: 'index', channel: '' }], keeps: ['at'], sight: '.sheet', does: told('low place pointed at', 3) },
    { words: 'One value on its way: sum, batch normalisation, activation. The dot on the small curve says where it landed.', ask: 'Move with the arrows (or ‹ ›) until the activation sets a value to 0, or lets one through.', go: (r) => ['number', { layer: bent(r), at: middle(r, bent(r)), channel: 0 }], sight: '.steps', does: (done) => (done['switched on or off'] ?? 0) > 0 || (done.moved ?? 0) >= 12 } ] },
  { name: 'initialisation', title: 'Initialisation and vanishing gradients', words: 'A network can be too quiet to learn.', steps: [
    { words: 'Activity and gradient, layer by layer, of your own network for one picture. In a healthy one neither dies out nor explodes from top to bottom.', ask: 'At the right, under Weights, draw all kernels anew: too small (0.01).', go: () => ['network', { init: '' }], does: (done, now) => now.init === 'small' },
    { words: 'Layer by layer the values shrink, and so do the gradients on their way back: the first layers would hardly learn. (Batch normalisation, where there is some, hides it.)', ask: 'Now draw them by He’s rule: he normal.', go: () => ['network', {}], keeps: ['init'], does: (done, now) => now.init === 'he_normal' },
    { words: 'He’s rule keeps the size of the values from layer to layer. Now train two small networks on your pictures, the first as one should not: sigmoid, nine convolutions, no batch normalisation.', ask: 'The form is filled in: start the training.', go: () => ['train', { new: '1', preset: 'sigmoid', init: '' }], does: told('training begun') },
    { words: 'The same network with ReLU and He’s initialisation.', ask: 'Start it as well; the first goes on.', go: () => ['train', { new: '1', preset: 'relu' }], does: told('training begun') },
    { words: 'The two runs over each other. The first hardly moves: its gradients shrink to a quarter or less at each sigmoid.', ask: 'Choose the other run under “beside”.', go: () => ['train', { new: '', preset: '' }], keeps: ['run'], does: (done, now) => Boolean(now.compare) } ] },
  { name: 'filters', title: 'What filters learn', words: 'From edges to parts.', steps: [
    { words: 'Filters of the first layer. Each looks for something small: an edge, a spot, a colour; grey is 0.', ask: 'Choose one, and look through the pictures at the right: which crops fire it most?', go: (r) => ['filters', { layer: conv(r) }], does: told('top looked at') },
    { words: 'The last convolution. Its crops are larger, since each value sees more; often they show a part of a thing instead of an edge.', ask: 'Grow the picture that it would like to see.', go: (r) => ['filters', { layer: conv(r, 0.99), channel: 0 }], does: told('dreamt') },
    { words: 'Is it needed? Each filter is silenced in turn, and the pictures that go wrong are counted.', ask: 'Press “Accuracy without each filter”.', go: (r) => ['filters', { layer: conv(r, 0.99), channel: 0 }], does: told('accuracy swept') } ] },
  { name: 'mistakes', title: 'Why the network fails', words: 'Start from a wrong answer.', steps: [
    { words: 'The worst mistakes stand at the right: sure, and wrong.', ask: 'Open one, then set “For the class” to the true class, and compare. Where there is none, take another picture.', go: () => ['explain', { target: '' }], does: (done, now, then) => (done['target chosen'] ?? 0) > 0 && ((done['mistake opened'] ?? 0) > 0 || now.picture !== then.picture) },
    { words: 'A heat map can be wrong too. A method that is no better than a random map proves nothing on this picture.', ask: 'Judge the methods.', go: () => ['explain', { how: 'grad-cam,integrated-gradients,occlusion' }], keeps: ['picture', 'target'], sight: '.judge', does: told('judged') },
    { words: 'The test of a reason is to take it away. Grad-CAM says where the network looked; on a wide screen it stands below the prediction.', ask: 'Press “Paint on it” and paint over what the heat points at. If the answer does not change, the heat was wrong.', go: (r) => ['maps', { layer: bent(r, 0.99), rank: 'relevance', at: '', channel: '' }], keeps: ['picture'], does: told('painted') },
    { words: 'Is it the data? Look for copies, wrong labels, and shortcuts such as brightness.', ask: 'Choose a finding, and decide about its pictures.', go: () => ['data', {}], does: (done) => (done.decided ?? 0) + (done['finding chosen'] ?? 0) > 0 } ] },
]
