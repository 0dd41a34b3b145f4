package selector

import "fmt"

// Parse reads a selector (R60):
//
//	or         = and { "||" and }
//	and        = unary { "&&" unary }
//	unary      = { "!" } primary
//	primary    = "(" or ")" | "all" "(" ")" | "global" "(" ")" | "has" "(" key ")" | key comparison
//	comparison = ( "==" | "!=" | "contains" | "starts" "with" | "ends" "with" ) string
//	           | [ "not" ] "in" "{" [ string { "," string } [ "," ] ] "}"
//
// Words that are keywords in one place are label keys in another ("in in {'a'}"). The empty text is all() (R28). The
// error is a *SyntaxError.
func Parse(text string) (*Selector, error) {
	if len(text) > MaxLength {
		return nil, &SyntaxError{text, MaxLength, fmt.Sprintf("text has %d bytes, at most %d are allowed", len(text), MaxLength)}
	}
	p := parser{lexer: lexer{text: text}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind == tokenEnd {
		return All(), nil
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token.kind != tokenEnd {
		return nil, p.unexpected("&&, || or the end")
	}
	return newSelector(root), nil
}

// parser is a recursive descent over the tokens; token is the one not yet consumed.
type parser struct {
	lexer lexer
	token token
	depth int
}

func (p *parser) advance() (err error) {
	p.token, err = p.lexer.next()
	return err
}

func (p *parser) unexpected(want string) error {
	return &SyntaxError{p.lexer.text, p.token.pos, fmt.Sprintf("found %v, want %s", p.token, want)}
}

// expect consumes a symbol.
func (p *parser) expect(symbol string) error {
	if !p.token.is(symbol) {
		return p.unexpected(symbol)
	}
	return p.advance()
}

// deeper enters one level of parentheses or negation.
func (p *parser) deeper() error {
	p.depth++
	if p.depth > MaxDepth {
		return &SyntaxError{p.lexer.text, p.token.pos, fmt.Sprintf("nested deeper than %d levels", MaxDepth)}
	}
	return nil
}

func (p *parser) or() (*node, error) { return p.list(opOr, "||", p.and) }

func (p *parser) and() (*node, error) { return p.list(opAnd, "&&", p.unary) }

func (p *parser) list(o op, operator string, operand func() (*node, error)) (*node, error) {
	var operands []*node
	for {
		n, err := operand()
		if err != nil {
			return nil, err
		}
		operands = append(operands, n)
		if !p.token.is(operator) {
			return newList(o, operands), nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) unary() (*node, error) {
	if !p.token.is("!") {
		return p.primary()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	negated := false
	for p.token.is("!") {
		negated = !negated
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	n, err := p.primary()
	if err != nil {
		return nil, err
	}
	p.depth--
	if negated {
		n = newNot(n)
	}
	return n, nil
}

func (p *parser) primary() (*node, error) {
	if p.token.is("(") {
		return p.parenthesis()
	}
	if p.token.kind != tokenWord {
		return nil, p.unexpected("a label key, has(key), all(), global(), ! or (")
	}
	word := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.is("(") {
		return p.function(word)
	}
	if err := p.checkKey(word); err != nil {
		return nil, err
	}
	return p.comparison(word.text)
}

func (p *parser) parenthesis() (*node, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	p.depth--
	return n, p.expect(")")
}

// function reads what follows all, global or has; the token is the opening parenthesis.
func (p *parser) function(name token) (*node, error) {
	var n *node
	switch name.text {
	case "all":
		n = all
	case "global":
		n = global
	case "has":
	default:
		return nil, &SyntaxError{p.lexer.text, name.pos, fmt.Sprintf("%s() is no function, want has(key), all() or global()", name.text)}
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if n == nil {
		if p.token.kind != tokenWord {
			return nil, p.unexpected("a label key")
		}
		if err := p.checkKey(p.token); err != nil {
			return nil, err
		}
		n = &node{op: opHas, key: p.token.text}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return n, p.expect(")")
}

func (p *parser) checkKey(key token) error {
	if len(key.text) > MaxKeyLength {
		return &SyntaxError{p.lexer.text, key.pos, fmt.Sprintf("label key has %d bytes, at most %d are allowed", len(key.text), MaxKeyLength)}
	}
	return nil
}

// comparison reads an operator and what it compares the label with.
func (p *parser) comparison(key string) (*node, error) {
	o, err := p.operator()
	if err != nil {
		return nil, err
	}
	switch o.text {
	case "==":
		return p.single(opIn, key)
	case "!=":
		return p.single(opNotIn, key)
	case "contains":
		return p.single(opContains, key)
	case "startswith":
		return p.single(opStartsWith, key)
	case "endswith":
		return p.single(opEndsWith, key)
	case "in":
		return p.set(opIn, key)
	case "notin":
		return p.set(opNotIn, key)
	}
	p.token = o
	return nil, p.unexpected("==, !=, in, not in, contains, starts with or ends with")
}

// operator consumes an operator; those of two words come back as one, which is how they may be written too.
func (p *parser) operator() (token, error) {
	o := p.token
	if o.kind != tokenWord && o.kind != tokenSymbol {
		return token{kind: o.kind, pos: o.pos}, nil
	}
	if err := p.advance(); err != nil {
		return o, err
	}
	second := "with"
	switch o.text {
	case "not":
		second = "in"
	case "starts", "ends":
	default:
		return o, nil
	}
	if p.token.kind != tokenWord || p.token.text != second {
		return o, p.unexpected(fmt.Sprintf("%q after %q", second, o.text))
	}
	o.text += second
	return o, p.advance()
}

func (p *parser) single(o op, key string) (*node, error) {
	if p.token.kind != tokenString {
		return nil, p.unexpected("a string in quotes")
	}
	n := &node{op: o, key: key, values: []string{p.token.text}}
	return n, p.advance()
}

func (p *parser) set(o op, key string) (*node, error) {
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	values := []string{}
	for p.token.kind == tokenString {
		values = append(values, p.token.text)
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.token.is(",") {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if !p.token.is("}") {
		return nil, p.unexpected("a string in quotes or }")
	}
	return newSet(o, key, values), p.advance()
}
