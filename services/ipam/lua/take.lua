-- Hands numbers to an owner until it has as many as it wants or none is free.
-- KEYS: marker, free, given, owners. ARGV: layout, owner, how many it wants, size of the pool.
-- Returns all numbers of the owner, or nil while the index is closed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local owner, want = ARGV[2], tonumber(ARGV[3])
local list = {}
local known = redis.call('HGET', KEYS[4], owner)
if known then
  for n in string.gmatch(known, '%d+') do list[#list + 1] = n end
end
local had = #list
while #list < want do
  local n = redis.call('LPOP', KEYS[2])
  if not n then
    if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[4]) then break end
    -- Neither free nor given: a part of the index was lost. Closed, it is built again.
    redis.call('DEL', KEYS[1])
    return false
  end
  local first, last = string.match(n, '^(%d+)%-(%d+)$')
  if first then
    -- The front of a range becomes single numbers, many at once, so that most calls need not split.
    n, first, last = first, tonumber(first), tonumber(last)
    local stop = math.min(first + 64, last)
    local front = {}
    if stop < last then front[1] = string.format('%.0f-%.0f', stop + 1, last) end
    for i = stop, first + 1, -1 do front[#front + 1] = string.format('%.0f', i) end
    if #front > 0 then redis.call('LPUSH', KEYS[2], unpack(front)) end
  end
  -- A number may be free and given at once when the truth said so later; then it is passed over.
  if redis.call('HSETNX', KEYS[3], n, owner) == 1 then list[#list + 1] = n end
end
if #list > had then redis.call('HSET', KEYS[4], owner, table.concat(list, ' ')) end
return list
