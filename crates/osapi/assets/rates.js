// From readings, which count since the start, to what happened per second.

/** What a counter rose by; one that fell began anew. */
const rise = (before, after) => (after >= before ? after - before : after);

/** Per second, between two readings, or null where it is not known. */
export function rate(before, after, pick) {
  if (!before) return null;
  const [was, is] = [pick(before), pick(after)];
  const elapsed = (after.time - before.time) / 1000;
  if (was === undefined || is === undefined || elapsed <= 0) return null;
  return rise(was, is) / elapsed;
}

const routeKey = (route) => `${route.method} ${route.route || "(unmatched)"}`;

/** The requests between two readings, by route. */
export function requests(before, after) {
  const http = after?.measured?.http;
  if (!http) return null;
  const old = new Map((before?.measured?.http.routes ?? []).map((route) => [routeKey(route), route]));
  const elapsed = before ? (after.time - before.time) / 1000 : 0;
  const routes = http.routes.map((now) => {
    const then = before ? old.get(routeKey(now)) : now;
    // Fewer than before: the server began anew.
    const past = then && then.requests <= now.requests ? then : undefined;
    return {
      name: routeKey(now),
      requests: now.requests - (past?.requests ?? 0),
      errors: now.errors - (past?.errors ?? 0),
      buckets: now.buckets.map((count, at) => count - (past?.buckets[at] ?? 0)),
    };
  });
  return { elapsed, bounds: http.bounds, routes };
}

/** Several routes as one: all of them, or those of one name. */
export function together(happened, name = "") {
  const all = { requests: 0, errors: 0, buckets: [] };
  for (const route of happened?.routes ?? []) {
    if (name && route.name !== name) continue;
    all.requests += route.requests;
    all.errors += route.errors;
    route.buckets.forEach((count, at) => (all.buckets[at] = (all.buckets[at] ?? 0) + count));
  }
  return all;
}

/** A quantile of a histogram, straight within its bucket as Prometheus has it; null if it is empty. */
export function quantile(q, bounds, buckets) {
  const count = buckets.reduce((sum, bucket) => sum + bucket, 0);
  if (count === 0 || bounds.length === 0) return null;
  const rank = q * count;
  let below = 0;
  for (let at = 0; at < bounds.length; at += 1) {
    const inside = buckets[at];
    if (below + inside >= rank && inside > 0) {
      const lower = at === 0 ? 0 : bounds[at - 1];
      return lower + ((bounds[at] - lower) * (rank - below)) / inside;
    }
    below += inside;
  }
  return bounds[bounds.length - 1];
}
