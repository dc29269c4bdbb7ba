package operator

// pageSize is the most that the gateway gives at once.
const pageSize = 200

// pages reads every page of a list. The list is never nil, so that it is printed as [].
func pages[T any](get func(cursor string) (items []T, next string, err error)) ([]T, error) {
	all := []T{}
	for cursor := ""; ; {
		items, next, err := get(cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
}
