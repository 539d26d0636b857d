import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

export default defineConfig({
  base: './',
  // a canvas with a role is what a chart is, and what scrolls must be reached by keys; the rules mean buttons in disguise
  plugins: [svelte({ compilerOptions: { warningFilter: (w) => !['a11y_no_interactive_element_to_noninteractive_role', 'a11y_no_noninteractive_tabindex'].includes(w.code) } })],
  // nothing is inlined: the page's policy allows no inline script, style or font
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  test: { environment: 'node', include: ['tests/**/*.test.js'] },
})
