-- Tells which registers were accepted anew since a count.
-- flags: no-writes
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, count, the most names at once
-- Returns {'CHANGED', the count up to which this tells, names}, or a refusal as parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local found = CALL('ZRANGE', C .. ':names', '(' .. ARGV[3], '+inf', 'BYSCORE', 'LIMIT', '0', ARGV[4], 'WITHSCORES')
local out = {'CHANGED', ARGV[3]}
for i = 1, #found, 2 do
  out[#out + 1] = found[i]
  out[2] = found[i + 1]
end
return out
