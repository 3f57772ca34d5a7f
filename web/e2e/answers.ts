// Answers for the scripted upstream: `echo` gives back what stands below it.

export const MARKDOWN = `# How whales sleep

They sleep **upright**, one half of the *brain* at a time, see [a study](https://example.org/study).

| animal | hours | alone |
| ------ | ----: | :---: |
| whale  |   1.5 |   no  |
| cat    |    15 |  yes  |

- [x] surface
- [ ] dive
- breathe
  1. slowly
  2. again

> They dream of nothing we know.

\`\`\`python
def sleep(hours: float) -> str:
    return "z" * int(hours)  # quietly
\`\`\`

The mean is $\\bar{x} = \\frac{1}{n}\\sum_{i=1}^{n} x_i$, and

$$
\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}
$$

Prices of $5 and $6 are no formula.
`;

/** Ways to run something in the page, each of which would call \`stolen\`. */
export const ATTACKS = String.raw`
<script>stolen(1)</script>

<img src=x onerror=stolen(2)>

<svg onload=stolen(3)><script>stolen(4)</script><animate onbegin=stolen(5) attributeName=x dur=1s></svg>

[click](javascript:stolen(6)) [data](data:text/html,<script>stolen(7)</script>) [vb](vbscript:stolen(8))

[tab](<java	script:stolen(9)>) <a href="&#106;avascript:stolen(10)">entity</a>

<iframe src="javascript:stolen(11)"></iframe><iframe srcdoc="<script>parent.stolen(12)</script>"></iframe>

<object data="javascript:stolen(13)"></object><embed src="javascript:stolen(14)">

<details open ontoggle=stolen(15)><summary>more</summary></details>

<input autofocus onfocus=stolen(16)><video><source onerror=stolen(17)></video>

<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=stolen(18)&gt;">

<form action="javascript:stolen(19)"><button>send</button></form>

<div style="position:fixed;inset:0;z-index:99999;background:red" onmouseover=stolen(20)>cover</div>

<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=javascript:stolen(21)">

<style>body{display:none}</style><link rel=stylesheet href="https://evil.example/x.css">

$\href{javascript:stolen(22)}{x}$ $\htmlData{onclick=stolen(23)}{x}$ $\includegraphics{https://evil.example/x.png}$

${'```'}html" onmouseover="stolen(24)
<img src=x onerror=stolen(25)>
${'```'}

![x](https://evil.example/read.png "a" onload=stolen(26)) <a id="body" name="cookie" href="//evil.example">clobber</a>

<noscript><p title="</noscript><img src=x onerror=stolen(27)>"></noscript>
`;
