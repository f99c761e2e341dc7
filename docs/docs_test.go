// Package docs holds the project's documents, and the tests that keep them true.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the directory of the repository.
const root = ".."

// find returns the files of the repository whose names match a pattern.
func find(t *testing.T, pattern string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && name != ".." && name != ".github"):
			return fs.SkipDir
		case !entry.IsDir():
			if match, _ := filepath.Match(pattern, name); match {
				paths = append(paths, path)
			}
		}
		return nil
	}))
	require.NotEmpty(t, paths)
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

var (
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	code    = regexp.MustCompile("`[^`\n]+`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// anchors returns what the headings of a document can be linked by.
func anchors(document string) (names []string) {
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(document, ""), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, h[1]))
	}
	return names
}

func TestRelativeLinksLeadSomewhere(t *testing.T) {
	for _, path := range find(t, "*.md") {
		document := code.ReplaceAllString(fence.ReplaceAllString(read(t, path), ""), "x")
		for _, l := range link.FindAllStringSubmatch(document, -1) {
			if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(l[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); !assert.NoError(t, err, "%s links to %s", path, l[1]) {
				continue
			}
			if anchor != "" {
				assert.Contains(t, anchors(read(t, target)), anchor, "%s links to %s", path, l[1])
			}
		}
	}
}

// lines returns the lines of a text without their indentation.
func lines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

func TestGoCodeIsPartOfAProgramThatCompiles(t *testing.T) {
	program := lines(read(t, "readme_test.go"))
	for _, path := range []string{filepath.Join(root, "README.md"), "migrating.md"} {
		for _, block := range fence.FindAllStringSubmatch(read(t, path), -1) {
			if block[1] == "go" {
				assert.True(t, strings.Contains(program, lines(block[2])), "%s: not in readme_test.go:\n%s", path, block[2])
			}
		}
	}
}

func TestCommandsNameWhatExists(t *testing.T) {
	command := regexp.MustCompile(`\./(?:examples|cmd)/[\w-]+`)
	for _, path := range find(t, "*.md") {
		for _, directory := range command.FindAllString(read(t, path), -1) {
			assert.DirExists(t, filepath.Join(root, directory), path)
		}
	}
}

func TestTestsThatAreNamedExist(t *testing.T) {
	named := regexp.MustCompile("`((?:Test|Fuzz|Example|Benchmark)[A-Z]\\w*)`")
	declared := regexp.MustCompile(`(?m)^func (\w+)\(`)
	exist := map[string]bool{}
	for _, path := range find(t, "*_test.go") {
		for _, d := range declared.FindAllStringSubmatch(read(t, path), -1) {
			exist[d[1]] = true
		}
	}
	for _, path := range find(t, "*.md") {
		for _, name := range named.FindAllStringSubmatch(read(t, path), -1) {
			assert.True(t, exist[name[1]], "%s names %s", path, name[1])
		}
	}
}

// exported returns the exported functions, and the exported variables and
// constants, of the root package.
func exported(t *testing.T) (functions, values []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					functions = append(functions, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						for _, name := range v.Names {
							values = append(values, name.Name)
						}
					}
				}
			}
		}
	}
	return functions, values
}

func TestEveryOptionIsListed(t *testing.T) {
	document := read(t, "options.md")
	functions, _ := exported(t)
	options := slices.DeleteFunc(functions, func(name string) bool { return !strings.HasPrefix(name, "With") })
	require.NotEmpty(t, options)
	for _, name := range options {
		assert.True(t, strings.Contains(document, "| `"+name+"("), "options.md lacks %s", name)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(With\\w+)").FindAllStringSubmatch(document, -1) {
		assert.Contains(t, options, row[1])
	}
}

func TestEveryErrorAndAdjustmentIsListed(t *testing.T) {
	document := read(t, "errors.md")
	_, values := exported(t)
	listed := slices.DeleteFunc(values, func(name string) bool {
		return !strings.HasPrefix(name, "Err") && !strings.HasPrefix(name, "Adjusted")
	})
	require.NotEmpty(t, listed)
	for _, name := range listed {
		assert.True(t, strings.Contains(document, "| `"+name+"` |"), "errors.md lacks %s", name)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:Err|Adjusted)\\w+)` \\|").FindAllStringSubmatch(document, -1) {
		assert.Contains(t, listed, row[1])
	}
}
