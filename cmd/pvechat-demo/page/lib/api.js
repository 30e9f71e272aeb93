// What the demo's server offers to this page.

async function answer(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.error ?? `The demo answered ${response.status}.`);
  return body ?? {};
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error('The demo does not answer. Is it still running?');
  }
  return answer(response);
}

export function get(path, query = {}) {
  const search = new URLSearchParams(query).toString();
  return ask(search ? `${path}?${search}` : path);
}

export function post(path, body) {
  return ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

// follow calls onState with everything that a person sees, whenever it changed,
// and onLine with whether the server is there. It returns how to stop.
export function follow(person, onState, onLine) {
  const source = new EventSource(`/api/stream?${new URLSearchParams({ person })}`);
  source.onopen = () => onLine(true);
  source.onerror = () => onLine(false);
  source.onmessage = event => onState(JSON.parse(event.data));
  return () => source.close();
}
