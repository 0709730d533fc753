-- Loops that a tracing compiler finds hot: integers, floats, tables, strings, calls, exits from traces.
local function fib(n)
    if n < 2 then return n end
    return fib(n - 1) + fib(n - 2)
end

local function primes(limit)
    local composite, count = {}, 0
    for i = 2, limit do
        if not composite[i] then
            count = count + 1
            for j = i * i, limit, i do composite[j] = true end
        end
    end
    return count
end

local function queens(n)
    local columns, up, down = {}, {}, {}
    local function place(row)
        if row > n then return 1 end
        local found = 0
        for c = 1, n do
            if not (columns[c] or up[row + c] or down[row - c]) then
                columns[c], up[row + c], down[row - c] = true, true, true
                found = found + place(row + 1)
                columns[c], up[row + c], down[row - c] = nil, nil, nil
            end
        end
        return found
    end
    return place(1)
end

local function words(count)
    local seen, parts = {}, {}
    for i = 1, count do
        local word = ("w%d"):format(i % 97)
        seen[word] = (seen[word] or 0) + 1
        parts[#parts + 1] = word
    end
    return #table.concat(parts, " "), seen.w13
end

local sum = 0
for i = 1, 3000000 do
    sum = sum + i % 7
    if i % 999983 == 0 then sum = sum + 0.5 end
end
print("sum", sum)
print("fib", fib(24))
print("primes", primes(200000))
print("queens", queens(7))
print("words", words(60000))
local x = 0
for i = 1, 200000 do x = x + math.sqrt(i) * (i % 2 == 0 and 1 or -1) end
print("roots", ("%.6f"):format(x))
