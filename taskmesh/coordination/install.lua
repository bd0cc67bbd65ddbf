-- Tells the node of a leader before it acts: from then on nothing is obeyed that an older one sends.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms
-- Returns OK. Errors: STALETOKEN <known> the node knows a newer one.
return redis.status_reply('OK')
