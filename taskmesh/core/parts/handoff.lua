-- Gives a message to an idle child together with its wake-up, which saves it the claim. The lease is the one that
-- the child's next claim would record: should the wake-up be lost, that claim returns this very message.
-- In a mesh of several nodes the child is told once W copies know of it (`replication/hand_over.lua`), as with a claim; until then
-- `h<child>` notes the sequence, and the child is given nothing more. One that may begin only once is claimed there.
local HANDOFF_BYTES_MAX = 65536

local function may_be_handed(rec)
  if #rec > HANDOFF_BYTES_MAX then return false end
  return string.sub(EPOCH, 1, 1) ~= 'f' or not string.find('89abcdef', string.sub(rec, 62, 62), 1, true)
end

-- To a child that is free, and whose last claim has that sequence.
local function hand(holder, last, id, rec)
  local seq = string.format('%08x', (tonumber(last, 16) or 0) + 1)
  local lease = EPOCH .. holder .. seq
  CALL('SETRANGE', P .. 'r:' .. id, 1, 'T' .. version_after(string.sub(rec, 3, 10)) .. lease)
  CALL('HSET', P .. 'w:' .. string.sub(holder, 1, 16), 's' .. string.sub(holder, 17), seq)
  CALL('HSET', P .. 'run:' .. holder, seq, id)
  if HANDED then
    CALL('HSET', P .. 'w:' .. string.sub(holder, 1, 16), 'h' .. string.sub(holder, 17), seq)
    HANDED[#HANDED + 1] = {holder, seq, id, string.sub(rec, 3, 10)}
  else
    CALL('RPUSH', P .. 'wake:' .. holder, 'h' .. lease .. id .. ':' .. string.sub(rec, 3, 10) .. '\n' .. rec)
  end
end

-- Gives it to the child that became idle last, unless others stand in line before it. Returns whether that one has it, and the
-- child, which is on its list no more: one that is not given it is to be woken.
local function hand_off(id, rec, queue, line)
  local holder, last = idle_child(queue)
  if not holder or not may_be_handed(rec) or CALL('EXISTS', line) == 1 then return false, holder end
  hand(holder, last, id, rec)
  return true, holder
end
