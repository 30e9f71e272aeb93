// The page is described anew after every change, and the document is patched to
// be what is described. Nodes that are still wanted stay the same nodes: focus,
// selection and scroll position survive. Text only ever becomes text nodes.

const SVG = 'http://www.w3.org/2000/svg';
const drawings = new Set(['svg', 'path', 'circle', 'rect']);
const properties = new Set(['value', 'checked', 'disabled', 'hidden', 'inert', 'open']);

// What each node was last described as.
const described = new WeakMap();

// h describes an element. The tag may carry classes: 'div.row.wide'. Children are
// texts, descriptions, and lists of them; null and false are none. Properties:
//   key      tells the element from its siblings when these come and go
//   mounted  is called with the element once it is in the document
//   vars     are custom properties of its style
//   on…      are listeners; all others are attributes
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, children: texts(children.flat(Infinity)) };
}

// lazy describes an element by what it is made of: while nothing of that is
// replaced, the element stays as it is, and make is not called.
export function lazy(tag, props, of, make) {
  return { tag, props, of, make };
}

function texts(children) {
  const out = [];
  for (const child of children) {
    if (child == null || child === true || child === false || child === '') continue;
    if (typeof child === 'object') out.push(child);
    else if (typeof out.at(-1) === 'string') out[out.length - 1] += child;
    else out.push(String(child));
  }
  return out;
}

// draw makes root's children what is described.
export function draw(root, ...children) {
  const arrived = [];
  patch(root, texts(children.flat(Infinity)), arrived);
  for (const [node, mounted] of arrived) mounted(node);
}

function patch(parent, wanted, arrived) {
  const old = new Map();
  for (const node of parent.childNodes) {
    const name = described.get(node)?.name ?? '#';
    if (!old.has(name)) old.set(name, []);
    old.get(name).push(node);
  }
  const kept = wanted.map(w => old.get(nameOf(w))?.shift());
  for (const rest of old.values()) rest.forEach(node => node.remove());

  let at = parent.firstChild;
  wanted.forEach((w, i) => {
    const node = kept[i] ?? create(w, parent, arrived);
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
    if (typeof w === 'string') {
      if (node.data !== w) node.data = w;
      return;
    }
    const about = described.get(node);
    if (w.of && same(w.of, about.of)) return;
    patch(node, w.make ? texts([w.make()].flat(Infinity)) : w.children, arrived);
    dress(node, w); // after its children: a select's value needs its options
    about.of = w.of;
  });
}

const same = (a, b) => a.length === b?.length && a.every((v, i) => v === b[i]);

function nameOf(w) {
  return typeof w === 'string' ? '#' : `${w.tag} ${w.props.key ?? ''}`;
}

function create(w, parent, arrived) {
  if (typeof w === 'string') return document.createTextNode(w);
  const name = w.tag.split('.', 1)[0];
  const node = drawings.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  described.set(node, { name: nameOf(w), props: {} });
  if (w.props.mounted) arrived.push([node, w.props.mounted]);
  return node;
}

function dress(node, w) {
  const was = described.get(node).props;
  const props = { ...w.props, class: classes(w) };
  described.get(node).props = props;
  for (const name of new Set([...Object.keys(was), ...Object.keys(props)])) {
    if (name !== 'key' && name !== 'mounted') set(node, name, props[name], was[name]);
  }
}

function classes({ tag, props }) {
  const list = tag.split('.').slice(1);
  if (props.class) list.push(props.class);
  return list.join(' ') || null;
}

function set(node, name, value, was) {
  if (name.startsWith('on')) {
    node[name] = value ?? null;
  } else if (name === 'vars') {
    for (const key of Object.keys(was ?? {})) if (!(key in (value ?? {}))) node.style.removeProperty(`--${key}`);
    for (const [key, v] of Object.entries(value ?? {})) node.style.setProperty(`--${key}`, v);
  } else if (properties.has(name)) {
    const v = name === 'value' ? value ?? '' : Boolean(value);
    if (node[name] !== v) node[name] = v;
  } else if (value == null || value === false) {
    node.removeAttribute(name);
  } else {
    const v = value === true ? '' : String(value);
    if (node.getAttribute(name) !== v) node.setAttribute(name, v);
  }
}

// takeFocus gives the focus to el, unless the person is busy with what lies outside
// of the client that el belongs to.
export function takeFocus(el) {
  const busy = document.activeElement;
  if (busy === document.body || el.closest('[data-platform]')?.contains(busy)) el.focus();
}

// only handles an event here, and keeps it from whatever lies around.
export function only(handler) {
  return event => {
    event.preventDefault();
    event.stopPropagation();
    handler(event);
  };
}
