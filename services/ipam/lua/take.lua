-- Hands numbers to an owner until it has as many as it wants or none is free.
-- KEYS: marker, free, given, owners. ARGV: layout, owner, how many it wants, size of the pool.
-- Returns all numbers of the owner, or nil while the index is closed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local owner, want = ARGV[2], tonumber(ARGV[3])
local list = {}
for n in string.gmatch(redis.call('HGET', KEYS[4], owner) or '', '%d+') do list[#list + 1] = n end
local had = #list
while #list < want do
  local range = redis.call('LINDEX', KEYS[2], 0)
  if not range then
    if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[4]) then break end
    -- Neither free nor given: a part of the index was lost. Closed, it is built again.
    redis.call('DEL', KEYS[1])
    return false
  end
  local first, last = string.match(range, '^(%d+)%-(%d+)$')
  if not first or first == last then
    redis.call('LPOP', KEYS[2])
  else
    redis.call('LSET', KEYS[2], 0, string.format('%.0f-%s', tonumber(first) + 1, last))
  end
  -- A number may be free and given at once when the truth said so later; then it is passed over.
  if redis.call('HSETNX', KEYS[3], first or range, owner) == 1 then list[#list + 1] = first or range end
end
if #list > had then redis.call('HSET', KEYS[4], owner, table.concat(list, ' ')) end
return list
