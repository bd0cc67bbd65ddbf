-- Ends a configuration for ever on this acceptor: no ballot of it is promised or accepted any more.
-- flags: allow-oom
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration
-- Returns {'SEALED', count}; {'CONFIGURATION', highest configuration} if it is not known here; {'WRONGINSTANCE', id} or {'NOTADMITTED', run id}.
local no, latest = stranger()
if no then return no end
local sealed = CALL('HGET', C, 'sealed')
if not sealed then return {'CONFIGURATION', latest} end
if sealed == '0' then
  count()
  CALL('HSET', C, 'sealed', '1')
end
return {'SEALED', CALL('HGET', I, 'count')}
