-- Tells what was accepted, and changes nothing.
-- flags: no-writes
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, registers
-- Returns {'ACCEPTED', then for each register: n, proposer, digest, value} (0, 0, '', '' for none), or a refusal as
--   parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local out = {'ACCEPTED'}
for i = 3, #ARGV do
  local _, _, an, ap, digest, value = register(ARGV[i])
  local at = #out
  out[at + 1], out[at + 2], out[at + 3], out[at + 4] = whole(an), whole(ap), digest, value
end
return out
