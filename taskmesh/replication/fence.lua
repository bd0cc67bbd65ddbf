-- Has a node obey no view any more until it is told the one that is being made. Only a leader does that.
-- flags: allow-oom
-- parts: forward, fence
-- KEYS[1] prefix  ARGV: epoch to wait for, now_ms, token, the instance that is meant, the id that it gets if the node is
--   none yet ('' = it must be one)
-- Returns {id, instance, run id of its server, epoch before}. A repeat answers the same, but for the epoch.
-- Errors: STALEVIEW it is further, STRANGER it is another instance, or none: nothing was changed but the token.
if EPOCH == KNOWN or number_of(KNOWN) < number_of(EPOCH) then
  local me = CALL('HMGET', P .. 'me', 'id', 'instance')
  if not me[2] and ARGV[4] ~= '' then
    CALL('HSET', P .. 'me', 'id', ARGV[4], 'instance', ARGV[3])
    me = {ARGV[4], ARGV[3]}
  end
  if me[2] ~= ARGV[3] then return redis.error_reply('STRANGER ' .. (me[2] or 'none')) end
  CALL('SET', P .. 'epoch', EPOCH)
  return {me[1], me[2], string.match(CALL('INFO', 'server'), 'run_id:(%w+)') or '', KNOWN}
end
return redis.error_reply('STALEVIEW ' .. KNOWN)
