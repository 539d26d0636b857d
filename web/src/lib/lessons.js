// Six short tours. Each step is a place in the studio with one thing to do there; the data and the model are one's own.

const spatial = (rows) => rows.filter((r) => r.shape.length === 3 && r.has_maps)
const nth = (list, share) => list[Math.min(list.length - 1, Math.floor(share * list.length))]?.name ?? ''
const conv = (rows, share = 0) => nth(spatial(rows).filter((r) => /Conv/.test(r.kind)), share)
const bent = (rows, share = 0) => nth(spatial(rows).filter((r) => /ReLU|Activation/.test(r.kind) || (r.activation && /Conv/.test(r.kind))), share) || conv(rows, share)
const pool = (rows) => nth(spatial(rows).filter((r) => /Pool/.test(r.kind)), 0) || conv(rows, 0.5)

export const LESSONS = [
  { name: 'conv2d', title: 'How Conv2D works', words: 'One small grid of numbers slides over the picture.', steps: [
    { words: 'Here is one value of the first convolution. The patch at the left is what it sees; each number is multiplied by the number of the kernel at the same place, and all products are added. Check the sum in the black bar.', go: (r) => ['number', { layer: conv(r), channel: 0, at: '' }] },
    { words: 'Press space: the patch slides over the picture, the kernel stays the same. That one kernel, asked everywhere, makes one map.', go: (r) => ['number', { layer: conv(r), channel: 0, at: '8,0' }] },
    { words: 'All the kernels of this layer, asked everywhere: one map each. Hover: the same place lights up on every map, and the frame in the picture shows what it sees.', go: (r) => ['maps', { layer: bent(r), rank: 'index', at: '', channel: '' }] },
    { words: 'These are the kernels themselves. Choose one and open its map: does it answer where you would expect?', go: (r) => ['filters', { layer: conv(r) }] } ] },
  { name: 'stride', title: 'Stride, padding and pooling', words: 'Why maps shrink, and what happens at the edge.', steps: [
    { words: 'The value in the corner. Striped cells lie outside the picture: with padding they count as zero. Move right with the arrow keys until none is left.', go: (r) => ['number', { layer: conv(r), at: '0,0', channel: 0 }] },
    { words: 'A pooling layer multiplies nothing: it keeps the largest (or the mean) of a few neighbours. Which one won?', go: (r) => ['number', { layer: pool(r), at: '4,4', channel: 0 }] },
    { words: 'Read the column Output from top to bottom: each stage line marks where the maps shrink. Field px grows at the same time: fewer values, each sees more.', go: () => ['network', {}] } ] },
  { name: 'activations', title: 'What activations do', words: 'Bend the numbers, or everything stays one straight line.', steps: [
    { words: 'Before the activation: values above and below zero, red and blue.', go: (r) => ['maps', { layer: conv(r), rank: 'index', at: '', channel: '' }] },
    { words: 'After it: what was below zero is gone. Maps that are zero everywhere for this picture are counted above.', go: (r) => ['maps', { layer: bent(r), rank: 'index', at: '', channel: '' }] },
    { words: 'One value on its way: sum, batch normalisation, activation. The dot on the small curve says where it landed.', go: (r) => ['number', { layer: bent(r), at: '', channel: 0 }] } ] },
  { name: 'initialisation', title: 'Initialisation and vanishing gradients', words: 'A network can be too quiet to learn.', steps: [
    { words: 'Activity: the mean size of the values, layer by layer, for one picture. In a healthy network it neither dies out nor explodes from top to bottom.', go: () => ['network', {}] },
    { words: 'Open First choices and Network: choose simple-cnn, activation sigmoid, batch norm off, and six convs per block; start it. Then do the same with relu and he_normal.', go: () => ['train', { new: '1' }] },
    { words: 'Lay the two runs over each other with “beside”. The first hardly moves: its gradients shrank by a quarter at each sigmoid.', go: () => ['train', { new: '' }] } ] },
  { name: 'filters', title: 'What filters learn', words: 'From edges to parts.', steps: [
    { words: 'Filters of the first layer. Choose one and look through the pictures at the right: which crops fire it most?', go: (r) => ['filters', { layer: conv(r) }] },
    { words: 'Now the last convolution. Its crops are larger, since each value sees more; often they show a part of a thing instead of an edge.', go: (r) => ['filters', { layer: conv(r, 0.99), channel: 0 }] },
    { words: 'Without it, at the right: what the network would say if this filter were silent. Try the one whose map is ranked first.', go: (r) => ['maps', { layer: bent(r, 0.99), rank: 'relevance', at: '', channel: '' }] } ] },
  { name: 'mistakes', title: 'Why the network fails', words: 'Start from a wrong answer.', steps: [
    { words: 'Choose one of the worst mistakes at the right. Then set “For the class” to the true class and compare the heat with that for what it says.', go: () => ['explain', {}] },
    { words: 'Judge the methods: one that is no better than a random map proves nothing on this picture.', go: () => ['explain', { how: 'grad-cam,integrated-gradients,occlusion' }] },
    { words: 'Paint on it: cover what the heat points at, and look at the prediction. If the answer does not change, the heat was wrong.', go: (r) => ['maps', { layer: bent(r, 0.99), rank: 'relevance', at: '', channel: '' }] },
    { words: 'Is it the data? Look for copies, wrong labels, and shortcuts such as brightness.', go: () => ['data', {}] } ] },
]
